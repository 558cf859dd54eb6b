import { expect, test } from "vitest";
import { storableJson, storableText } from "./storable.ts";

test("what a database refuses is replaced, and nothing else", () => {
  expect(storableText("a\0b")).toBe("a\ufffdb");
  expect(storableText("half \ud83d of a pair, \udc00 the other")).toBe(
    "half \ufffd of a pair, \ufffd the other",
  );
  expect(storableText("whole \u{1f6a2}, \\u0000 in letters, \t\u0001")).toBe(
    "whole \u{1f6a2}, \\u0000 in letters, \t\u0001",
  );
});

test("in JSON, what a database refuses is replaced in keys and texts at every depth", () => {
  const value = { "k\0": ["a\ud800", { deep: "\0" }], kept: "\\u0000 \u{1f6a2}", n: 1, none: null };
  expect(JSON.parse(storableJson(value))).toEqual({
    "k\ufffd": ["a\ufffd", { deep: "\ufffd" }],
    kept: "\\u0000 \u{1f6a2}",
    n: 1,
    none: null,
  });
});
