import fc from "fast-check";
import { expect, test } from "vitest";
import { parsesJson } from "../../../test/support/parses-json.ts";
import { JsonCursor } from "./json-cursor.ts";

function isJson(text: string, depthMax = 64): boolean {
  const cursor = new JsonCursor(text, depthMax);
  return cursor.skip() && cursor.isAtEnd();
}

/** JSON with pieces cut out, doubled or put in: most of it is JSON no longer, and just so. */
const nearlyJson = fc
  .tuple(
    fc.json({ maxDepth: 6 }),
    fc.array(fc.tuple(fc.nat(), fc.constantFrom("", ...'{}[],:"\\0123.eE+-x \n\r\tnul\u0000\u2028\ud800')), {
      maxLength: 3,
    }),
  )
  .map(([text, edits]) =>
    edits.reduce((edited, [place, piece]) => {
      const at = place % (edited.length + 1);
      return edited.slice(0, at) + piece + edited.slice(piece === "" ? at + 1 : at);
    }, text),
  );

test("the cursor accepts exactly what JSON.parse accepts", () => {
  fc.assert(
    fc.property(nearlyJson, (text) => {
      expect(isJson(text)).toBe(parsesJson(text));
    }),
    { numRuns: 500 },
  );
});

test.each([
  ...["-", "-0", "01", "1.", ".5", "1e", "1e+", "1E-0", "-1.5e3", "+1", "NaN", "Infinity", "1 2", ""],
  ...[
    '"\\u12"',
    '"\\u12g4"',
    '"\\ud83d"',
    '"\\x"',
    '"\\',
    '"',
    '"\u0000"',
    '"\t"',
    "tru",
    "nulls",
    "\ufeff1",
  ],
  ...[
    "[1,]",
    "[,1]",
    "{,}",
    '{"a"}',
    '{"a":}',
    '{"a":1,}',
    "{a:1}",
    '{"a":1 "b":2}',
    "[1}",
    " [ ] ",
    "]",
    "\u00a01",
  ],
])("the cursor accepts or refuses %j as JSON.parse does", (text) => {
  expect(isJson(text)).toBe(parsesJson(text));
});

test("the cursor reports JSON that is nested too deep, and does not recurse further", () => {
  expect(isJson(`${"[".repeat(64)}${"]".repeat(64)}`)).toBe(true);
  const cursor = new JsonCursor('{"a":'.repeat(1_000_000), 64);
  expect(cursor.skip()).toBe(false);
  expect(cursor.problem).toBe("nested more than 64 deep");
  expect(cursor.at).toBeLessThan(64 * 6);
});

test("the cursor counts the values that a reader would have to create", () => {
  const cursor = new JsonCursor('{"a":[[],{}],"b":1}', 64);
  cursor.skip();
  expect(cursor.nodes).toBe(6);
});

test("the cursor reports a name by its value, however it is written", () => {
  const names: string[] = [];
  const cursor = new JsonCursor('{"\\u0061":1,"b":{"c":2}}', 64);
  cursor.object((name) => {
    names.push(name);
    return cursor.skip();
  });
  expect(names).toEqual(["a", "b"]);
});
