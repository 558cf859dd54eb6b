const DECIMAL = /^([+-]?)(\d{0,60})(?:\.(\d{0,60}))?(?:[eE]([+-]?\d{1,2}))?$/;

/** `1e-6` and `0.0000010` are both `0.000001`; undefined where the text is not a decimal number. */
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
