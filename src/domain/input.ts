/** Turns zod's issues into a fault that names the field, its value and what is accepted. */
import type { z } from "zod";
import { type Fault, invalidInput } from "./fault.ts";

/** Parses at the edge. Throws `invalid_input` for the first wrong field; `at` prefixes the field's path. */
export function parseInput<T extends z.ZodType>(schema: T, value: unknown, at = ""): z.output<T> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw inputFault(parsed.error, value, at);
}

/** The fault of the first issue. */
function inputFault(error: z.ZodError, input: unknown, at = ""): Fault {
  const issue = error.issues[0];
  if (issue === undefined) return invalidInput(at || "body", input, "something else");
  if (issue.code === "unrecognized_keys") {
    const key = issue.keys[0] ?? "";
    const path = fieldName(at, [...issue.path, key]);
    return invalidInput(path, valueAt(input, [...issue.path, key]), "no such field; remove it");
  }
  return invalidInput(fieldName(at, issue.path), valueAt(input, issue.path), accepted(issue));
}

function accepted(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return `a value of type ${issue.expected}`;
    case "invalid_value":
      return issue.values.map((value) => JSON.stringify(value)).join(", ");
    case "too_small":
      return `at least ${issue.minimum}${unitOf(issue.origin)}`;
    case "too_big":
      return `at most ${issue.maximum}${unitOf(issue.origin)}`;
    case "invalid_format":
      return issue.message.startsWith("Invalid")
        ? `the format ${issue.pattern ?? issue.format}`
        : issue.message;
    default:
      return issue.message;
  }
}

function unitOf(origin: string): string {
  if (origin === "string") return " characters";
  return origin === "array" ? " items" : "";
}

function fieldName(at: string, path: readonly PropertyKey[]): string {
  const text = [...(at === "" ? [] : [at]), ...path.map(String)].join(".");
  return text === "" ? "body" : text;
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const key of path) {
    if (typeof value !== "object" || value === null) return undefined;
    value = Reflect.get(value, key);
  }
  return value;
}
