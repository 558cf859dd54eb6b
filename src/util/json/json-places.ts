import { type JsonMember, scanJson } from "./json-scan.ts";

/** For texts that were scanned before, or written by Berth. */
const DEPTH_MAX = 10_000;

/** The place of a member of an object in its text; ends are exclusive. */
export interface JsonPlace {
  /** Offset of the name's opening quote. */
  readonly start: number;
  readonly valueStart: number;
  readonly end: number;
}

/** Places of the members with these names in the text of an object. Of a repeated name, the last one. */
export function placesIn(text: string, names: ReadonlySet<string>): ReadonlyMap<string, JsonPlace> {
  const bytes = Buffer.from(text);
  const found: JsonMember[] = [];
  const onMember = (member: JsonMember) => void (names.has(member.name) && found.push(member));
  scanJson(bytes, { depthMax: DEPTH_MAX, onMember });
  return new Map(found.map((member) => [member.name, placeInText(bytes, member, text.length)]));
}

/** Turns offsets in bytes into offsets in the text; they are equal where every character is one byte. */
export function placeInText(
  bytes: Buffer,
  { start, valueStart, end }: JsonPlace,
  textLength: number,
): JsonPlace {
  if (bytes.length === textLength) return { start, valueStart, end };
  const before = bytes.toString("utf8", 0, start).length;
  const name = bytes.toString("utf8", start, valueStart).length;
  const value = bytes.toString("utf8", valueStart, end).length;
  return { start: before, valueStart: before + name, end: before + name + value };
}

/** The members of an object without those at the given places, each as written; no braces. */
export function membersWithout(text: string, places: readonly JsonPlace[]): string {
  let kept = "";
  let from = text.indexOf("{") + 1;
  for (const { start, end } of places.toSorted((a, b) => a.start - b.start)) {
    kept += text.slice(from, start);
    const comma = text.indexOf(",", end);
    // only white space can stand between a value and its comma; the last value has no comma
    from = comma >= 0 && text.slice(end, comma).trim() === "" ? comma + 1 : end;
  }
  return `${kept}${text.slice(from, text.lastIndexOf("}"))}`.trim().replace(/\s*,$/, "");
}
