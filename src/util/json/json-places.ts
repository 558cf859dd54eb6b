import { type JsonMember, scanJson } from "./json-scan.ts";

/** Of texts that were looked over before, or written here. */
const DEPTH_MAX = 10_000;

/** Where a member of an object stands in its text; ends are exclusive. */
export interface JsonPlace {
  /** Of the name's opening quote. */
  readonly start: number;
  readonly valueStart: number;
  readonly end: number;
}

/** Places of the members of those names in the text of an object. Of a name that stands twice, the last. */
export function placesIn(text: string, names: ReadonlySet<string>): ReadonlyMap<string, JsonPlace> {
  const bytes = Buffer.from(text);
  const found: JsonMember[] = [];
  const onMember = (member: JsonMember) => void (names.has(member.name) && found.push(member));
  scanJson(bytes, { depthMax: DEPTH_MAX, onMember });
  return new Map(found.map((member) => [member.name, placeInText(bytes, member, text.length)]));
}

/** A place in bytes as one in the text that they are; the two are the same where every character is one byte. */
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

/** The members of an object without those in the places given, each as it was written; no braces. */
export function membersWithout(text: string, places: readonly JsonPlace[]): string {
  let kept = "";
  let from = text.indexOf("{") + 1;
  for (const { start, end } of places.toSorted((a, b) => a.start - b.start)) {
    kept += text.slice(from, start);
    const comma = text.indexOf(",", end);
    // between a value and its comma there is white space at most; after the last value there is none
    from = comma >= 0 && text.slice(end, comma).trim() === "" ? comma + 1 : end;
  }
  return `${kept}${text.slice(from, text.lastIndexOf("}"))}`.trim().replace(/\s*,$/, "");
}
