/** Recorded answers of dify-plugin-daemon, and the inputs that they are answers to. */
import { readFileSync } from "node:fs";

type Json = unknown;
type Change = readonly [path: string, value?: Json];

export interface Recorded {
  /** Of a chunk: its kind in the recording. Of a request: its route. */
  readonly kind: string;
  readonly name: string;
  readonly input: Json;
  /** Undefined where it was refused. */
  readonly answer: Json;
  /** `Field rule` of each that was broken; `type` where it could not be decoded. */
  readonly refused: readonly string[] | undefined;
}

interface Line {
  readonly kind: string;
  readonly input: Json;
  readonly answer?: Json;
  readonly refused?: readonly string[];
  readonly cases: Readonly<Record<string, readonly string[] | { answer: Json } | { changes: Change[] }>>;
}

const WHOLE: Readonly<Record<string, Json>> = { null: null, empty: {}, "a list": [], "a text": "x" };

/** `file`: `chunks` or `requests`. */
export function recorded(file: "chunks" | "requests"): readonly Recorded[] {
  const text = readFileSync(new URL(`../../fixtures/dify/${file}.jsonl`, import.meta.url), "utf8");
  const lines = text
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as Line);
  return lines.flatMap(expand);
}

function expand({ kind, input, answer, refused, cases }: Line): readonly Recorded[] {
  const others = Object.entries(cases).map(([name, outcome]): Recorded => {
    const given = { kind, name, input: name in WHOLE ? WHOLE[name] : mutated(input, name) };
    if ("changes" in outcome)
      return { ...given, answer: changed(answer, outcome.changes), refused: undefined };
    if ("answer" in outcome) return { ...given, answer: outcome.answer, refused: undefined };
    return { ...given, answer: undefined, refused: outcome };
  });
  return [{ kind, name: "whole", input, answer, refused }, ...others];
}

/** `a.0.b null`, `a.0.b missing`, `a.0.b wrong` */
function mutated(input: Json, name: string): Json {
  const [path = "", how] = name.split(" ");
  const old = path.split(".").reduce((at: Json, key) => (at as Record<string, Json>)[key], input);
  if (how === "missing") return changed(input, [[path]]);
  return changed(input, [[path, how === "null" ? null : ofAnotherType(old)]]);
}

function ofAnotherType(value: Json): Json {
  if (typeof value === "string") return 5;
  return Array.isArray(value) ? {} : "no";
}

function changed(value: Json, changes: readonly Change[]): Json {
  const copy: Json = structuredClone(value);
  for (const change of changes) {
    const keys = change[0].split(".");
    const last = keys.pop() ?? "";
    const holder = keys.reduce((at: Json, key) => (at as Record<string, Json>)[key], copy) as Record<
      string,
      Json
    >;
    if (change.length === 1) delete holder[last];
    else holder[last] = change[1];
  }
  return copy;
}

/** Lists that the daemon gives as null: clients of the platform take none for them. */
const NEVER_NULL: Readonly<Record<string, string>> = {
  runtime_parameters: "parameters",
  llm: "tool_calls",
  options: "options",
  document_pages: "result",
  drive_files: "files",
  dispatched_event: "events",
};

/** The daemon's answer with the one difference that is ours. */
export function withLists(value: Json, kind: string, key = ""): Json {
  if (value === null && NEVER_NULL[kind] === key) return [];
  if (Array.isArray(value)) return value.map((one) => withLists(one, kind));
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, one]) => [name, withLists(one, kind, name)]));
}
