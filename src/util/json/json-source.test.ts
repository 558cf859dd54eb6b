import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseWithSource, writeWithSource } from "./json-source.ts";

describe("JSON with its source", () => {
  test("is parsed as JSON.parse does it, and written as it was", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom(undefined, 1, "\t"), (value, space) => {
        const text = JSON.stringify(value, undefined, space);
        const source = parseWithSource(text);
        expect(source.value).toEqual(JSON.parse(text));
        if (typeof value === "object" && value !== null)
          expect(writeWithSource(source.value, source)).toBe(text);
      }),
    );
  });

  test("keeps digits, order and names of parts that are put into something new", () => {
    const text =
      '{"a": {"b":1.0,"2":9007199254740993,"1":-0,"__proto__":{"x":1e3}},"l":[1.50, "\\u0041"],"n":1.0}';
    const source = parseWithSource(text);
    const { a, l, n } = source.value as Record<string, unknown>;
    expect(writeWithSource({ n, nested: [a, { l, gone: undefined }] }, source)).toBe(
      '{"n":1,"nested":[{"b":1.0,"2":9007199254740993,"1":-0,"__proto__":{"x":1e3}},{"l":[1.50, "\\u0041"]}]}',
    );
    expect(Object.getPrototypeOf(a)).toBe(Object.prototype);
  });
});
