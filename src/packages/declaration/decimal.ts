import { formatDecimal } from "../../domain/decimal.ts";
import type { Source } from "../yaml-source.ts";

/** A price: written as a number or a text, kept as the shortest plain decimal. */
export function decimal(at: Source): string {
  if (at.isEmpty) return "0";
  const written = at.text;
  const plain = written === undefined ? undefined : formatDecimal(written);
  if (plain === undefined) throw at.refuse("a decimal number");
  return plain;
}
