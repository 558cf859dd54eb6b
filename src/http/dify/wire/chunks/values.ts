/** Values in plugins' answers that requests do not have: prices, lists that are never null, required members. */
import { formatDecimal } from "../../../../domain/decimal.ts";
import type { JsonMap } from "../../../../domain/json.ts";
import { list, map, type Rule, type Shape } from "../shape.ts";

/** A price: a number or a text, written as the shortest plain decimal text. */
export const decimal: Shape<string> = {
  zero: "0",
  read(value, at) {
    if (value === undefined || value === null) return "0";
    const isWritten = typeof value === "string" || typeof value === "number";
    const plain = isWritten ? formatDecimal(String(value)) : undefined;
    if (plain === undefined) at.mismatch("decimal", value);
    return plain ?? "0";
  },
};

/** A list, empty where it is missing: clients do not accept null. */
export function listOrEmpty<T>(...items: Parameters<typeof list<T>>): Shape<readonly T[]> {
  const inner = list<T>(...items);
  return {
    zero: [],
    read: (value, at) => inner.read(value, at) ?? [],
    ...(inner.check === undefined ? {} : { check: inner.check }),
  };
}

/** An empty object is read as null. */
export const filledMap: Shape<JsonMap | null> = {
  zero: null,
  read(value, at) {
    const inner = map.read(value, at);
    return inner === null || Object.keys(inner).length === 0 ? null : inner;
  },
};

/** Rows of numbers, not copied: there may be thousands. A null among the numbers is 0. */
export const vectors: Shape<readonly (readonly number[] | null)[] | null> = {
  zero: null,
  read(value, at) {
    if (value === undefined || value === null) return null;
    if (!Array.isArray(value)) {
      at.mismatch("[][]float64", value);
      return null;
    }
    return value.map((row: unknown, place) => {
      at.enter(place);
      const numbers = row === null ? null : vector(row, (one) => at.mismatch("float64", one));
      at.leave();
      return numbers;
    });
  },
};

function vector(row: unknown, mismatch: (value: unknown) => void): readonly number[] {
  if (!Array.isArray(row)) {
    mismatch(row);
    return [];
  }
  if (row.every(isNumber)) return row;
  return row.map((one: unknown) => {
    if (one !== null && !isNumber(one)) mismatch(one);
    return isNumber(one) ? one : 0;
  });
}

function isNumber(value: unknown): value is number {
  return typeof value === "number";
}

/** The member must be given, and may be its type's zero. */
export const given: Rule = { tag: "required", holds: (value) => value !== null && value !== undefined };
