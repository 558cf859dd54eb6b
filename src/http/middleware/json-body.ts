/**
 * JSON bodies. Each is looked over before its objects are built: it must be JSON, nest no deeper than a plugin's SDK
 * can read, hold no more values than the event loop has time for, and only texts that can be stored and sent on.
 */
import { Fault, invalidInput } from "../../domain/fault.ts";
import { JSON_DEPTH_MAX } from "../../domain/json.ts";
import {
  type JsonMember,
  type JsonMisfit,
  type JsonPath,
  type JsonText,
  scanJson,
} from "../../util/json/json-scan.ts";

/** What is read on the event loop holds no more than these, which take some 3 ms. */
const VALUES_MAX = 20_000;

export interface JsonRules {
  readonly valuesMax: number;
  /** U+0000 cannot be stored; a plugin may be sent it as part of what it works on. */
  readonly acceptsNul: boolean;
  readonly onMember?: (member: JsonMember) => void;
}

/** What control routes take. */
export const STORED: JsonRules = { valuesMax: VALUES_MAX, acceptsNul: false };
/** What goes to a plugin. */
export const SENT: JsonRules = { valuesMax: 1_000_000, acceptsNul: true };

/** Throws `invalid_json`, and `invalid_input` for what is JSON and cannot be taken; it names where in the body. */
export function checkJson(bytes: Buffer, { acceptsNul, ...rules }: JsonRules): JsonText {
  const found = scanJson(bytes, { depthMax: JSON_DEPTH_MAX, ...rules });
  if (!found.ok) throw misfit(found, rules.valuesMax);
  if (found.loneSurrogateAt !== undefined) throw unwritable(found.loneSurrogateAt, "half a surrogate pair");
  if (found.nulAt !== undefined && !acceptsNul) throw unwritable(found.nulAt, "the character U+0000");
  return found;
}

/** Throws what `checkJson` throws, and `invalid_input` where it is no object or names a member of it twice. */
export function parseJsonObject(bytes: Buffer, rules: JsonRules = STORED): Record<string, unknown> {
  const names = new Set<string>();
  const onMember = (member: JsonMember) => {
    if (names.has(member.name)) throw twice(member.name);
    names.add(member.name);
    rules.onMember?.(member);
  };
  const { isObject } = checkJson(bytes, { ...rules, onMember });
  const value: unknown = JSON.parse(bytes.toString());
  if (isObject) return value as Record<string, unknown>;
  throw invalidInput("body", value, "a JSON object");
}

function misfit({ why, offset, path, depth }: JsonMisfit, valuesMax: number): Fault {
  const field = fieldOf(path);
  if (why === "depth") {
    const accepted = `at most ${JSON_DEPTH_MAX} levels of objects and lists`;
    return new Fault(
      "invalid_input",
      `The body nests ${depth} levels deep, in ${field}; accepted: ${accepted}.`,
      {
        details: { field, value: depth, accepted },
      },
    );
  }
  if (why === "values") {
    const accepted = `at most ${valuesMax} values in a body`;
    return new Fault("invalid_input", `The body holds too many values, in ${field}; accepted: ${accepted}.`, {
      details: { field, accepted },
    });
  }
  const reason =
    why === "utf8" ? "its bytes are not UTF-8" : `byte ${offset}, in ${field}, cannot stand there`;
  return new Fault("invalid_json", `The body is no JSON: ${reason}.`, {
    details: { field: "body", accepted: "a JSON object" },
  });
}

function unwritable(path: JsonPath, what: string): Fault {
  const field = fieldOf(path);
  const accepted = "text whose every character can be stored";
  return new Fault("invalid_input", `${field} holds ${what}; accepted: ${accepted}.`, {
    details: { field, value: what, accepted },
  });
}

function twice(name: string): Fault {
  const accepted = "each name once";
  return new Fault(
    "invalid_input",
    `The body names ${JSON.stringify(name.slice(0, 100))} twice; accepted: ${accepted}.`,
    {
      details: { field: name.slice(0, 100), accepted },
    },
  );
}

/** Of a long path its beginning, which is what its reader has written. */
function fieldOf(path: JsonPath): string {
  const text = path.slice(0, 12).join(".");
  if (text === "") return "body";
  return path.length > 12 || text.length > 200 ? `${text.slice(0, 200)}...` : text;
}
