import type { Source } from "../yaml-source.ts";

const DECIMAL = /^([+-]?)(\d{0,60})(?:\.(\d{0,60}))?(?:[eE]([+-]?\d{1,2}))?$/;

/** A price: written as a number or a text, kept as the shortest plain decimal. */
export function decimal(at: Source): string {
  if (at.isEmpty) return "0";
  const written = at.text;
  const plain = written === undefined ? undefined : formatDecimal(written);
  if (plain === undefined) throw at.refuse("a decimal number");
  return plain;
}

/** `1e-6` and `0.0000010` are both `0.000001`; undefined for what is no decimal number. */
export function formatDecimal(written: string): string | undefined {
  const match = DECIMAL.exec(written);
  if (match === null) return undefined;
  const [, sign = "", whole = "", fraction = "", exponent = "0"] = match;
  if (whole === "" && fraction === "") return undefined;
  const shift = Number(exponent);
  const digits = whole + fraction;
  const point = whole.length + shift;
  const padded = point < 0 ? "0".repeat(-point) + digits : digits.padEnd(point, "0");
  const at = Math.max(point, 0);
  const head = padded.slice(0, at).replace(/^0+/, "") || "0";
  const tail = padded.slice(at).replace(/0+$/, "");
  const value = tail === "" ? head : `${head}.${tail}`;
  return sign === "-" && value !== "0" ? `-${value}` : value;
}
