import type { Source } from "../yaml-source.ts";

const TIMESTAMP =
  /^(\d{4})-(\d{1,2})-(\d{1,2})(?:(?:[Tt]|[ \t]+)(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d{1,9}))?[ \t]*(Z|z|[+-]\d{2}:\d{2})?)?$/;
const NEVER = "0001-01-01T00:00:00Z";

/** A time in RFC 3339, with its own offset and no more fraction digits than it needs. */
export function timestamp(at: Source): string {
  if (at.isEmpty) {
    at.warn("is missing");
    return NEVER;
  }
  const formatted = formatTimestamp(at.text ?? "");
  if (formatted === undefined) throw at.refuse("a moment in RFC 3339, for example 2026-01-31T12:00:00Z");
  return formatted;
}

export function formatTimestamp(text: string): string | undefined {
  const match = TIMESTAMP.exec(text);
  if (match === null) return undefined;
  const [
    ,
    year = "",
    month = "",
    day = "",
    hour = "0",
    minute = "0",
    second = "0",
    fraction = "",
    zone = "Z",
  ] = match;
  const date = new Date(Date.UTC(Number(year), Number(month) - 1, Number(day)));
  const isReal =
    Number(year) > 0 && date.getUTCMonth() === Number(month) - 1 && date.getUTCDate() === Number(day);
  if (!isReal || Number(hour) > 23 || Number(minute) > 59 || Number(second) > 59) return undefined;
  const pad = (part: string) => part.padStart(2, "0");
  const digits = fraction.replace(/0+$/, "");
  const offset = /^([zZ]|[+-]00:00)$/.test(zone) ? "Z" : zone;
  const time = `${pad(hour)}:${pad(minute)}:${pad(second)}${digits === "" ? "" : `.${digits}`}`;
  return `${year}-${pad(month)}-${pad(day)}T${time}${offset}`;
}
