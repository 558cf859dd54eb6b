import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parsesJson } from "../../../test/support/parses-json.ts";
import { type JsonMember, type JsonText, scanJson } from "./json-scan.ts";

const scan = (text: string | Buffer, depthMax = 10) => scanJson(Buffer.from(text), { depthMax });

function fits(text: string): JsonText {
  const found = scan(text);
  if (!found.ok) throw new Error(`${text}: ${found.why}`);
  return found;
}

/** Texts that are nearly JSON: what was JSON, with a few characters taken out, put in or changed. */
const nearlyJson = fc
  .tuple(
    fc.json({ maxDepth: 4 }),
    fc.array(fc.tuple(fc.nat(200), fc.constantFrom(...'{}[]",:\\u00dD8 \n-+.eE019tfnx\u0000é'))),
  )
  .map(([text, changes]) =>
    changes.reduce((now, [at, put]) => now.slice(0, at) + put + now.slice(at + (at % 2)), text),
  );

describe("the JSON scanner", () => {
  test("accepts exactly what JSON.parse accepts", () => {
    fc.assert(
      fc.property(fc.oneof(nearlyJson, fc.string(), fc.json()), (text) => {
        const isWritable = Buffer.from(text).toString() === text;
        if (isWritable) expect({ text, ok: scan(text, 50).ok }).toEqual({ text, ok: parsesJson(text) });
      }),
      { numRuns: 1000 },
    );
  });

  test.each([
    ...[
      "",
      " ",
      "{",
      "[",
      "{}{}",
      "[1,]",
      '{"a":1,}',
      '{"a"}',
      '{"a":}',
      "{a:1}",
      "{1:2}",
      "[1 2]",
      "]",
      "[}",
    ],
    ...[
      "01",
      "-",
      "1.",
      ".5",
      "1e",
      "+1",
      "1e+",
      "0x1",
      "NaN",
      "tru",
      "nulll",
      "'a'",
      '"',
      '"\\x"',
      '"\\u12"',
    ],
    ...['"\t"', '"\n"', '["a]', "\ufeff{}", "{,}", "[,]", '{"a":1 "b":2}'],
  ])("refuses %j", (text) => {
    expect({ ok: scan(text).ok, parses: parsesJson(text) }).toEqual({ ok: false, parses: false });
  });

  test("refuses bytes that are not UTF-8", () => {
    expect(scan(Buffer.from([0x22, 0xff, 0x22]))).toMatchObject({ ok: false, why: "utf8" });
    expect(scan(Buffer.from([0x22, 0xed, 0xa0, 0x80, 0x22]))).toMatchObject({ ok: false, why: "utf8" });
  });

  test("reports the wrong byte and its path", () => {
    expect(scan('{"a":[1,{"b":tru}]}')).toMatchObject({ why: "syntax", offset: 16, path: ["a", 1, "b"] });
  });
});

describe("depth", () => {
  test("is counted from the outermost value", () => {
    expect([fits("1").depth, fits("[]").depth, fits('{"a":[{}],"b":[]}').depth]).toEqual([0, 1, 3]);
  });

  test("beyond the bound is reported with path and depth", () => {
    const deep = `{"a":[0,${"[".repeat(12)}"]]"${"]".repeat(12)}]}`;
    expect(scan(deep)).toMatchObject({ why: "depth", depth: 14, path: ["a", 1, ...Array(8).fill(0)] });
    expect(scan(deep, 14)).toMatchObject({ ok: true, depth: 14 });
  });

  test("of a million levels is safe", () => {
    expect(scan("[".repeat(1_000_000))).toMatchObject({ why: "depth", depth: 1_000_000 });
    expect(scan('{"a":'.repeat(1_000_000))).toMatchObject({ why: "depth", depth: 1_000_000 });
  });
});

test("values are counted without names, and too many are reported", () => {
  const text = '{"a":[1,"b",{}],"c":null}';
  expect(fits(text).values).toBe(6);
  expect(scanJson(Buffer.from(text), { depthMax: 9, valuesMax: 6 })).toMatchObject({ ok: true });
  expect(scanJson(Buffer.from(text), { depthMax: 9, valuesMax: 4 })).toMatchObject({
    why: "values",
    path: ["a", 2],
  });
});

describe("texts that cannot be stored", () => {
  test.each<[string, (string | number)[]]>([
    ['"a\\u0000"', []],
    ['{"a":[1,"\\u0000"]}', ["a", 1]],
    ['{"a":{"b\\u0000":1}}', ["a"]],
  ])("include U+0000 in %s", (text, path) => expect(fits(text).nulAt).toEqual(path));

  test.each<[string, (string | number)[]]>([
    ['{"a":"\\ud800"}', ["a"]],
    ['{"a":"\\udc00\\ud800"}', ["a"]],
    ['[0,"\\ud83dx"]', [1]],
    ['[0,"\\ud83d\\n"]', [1]],
    ['[0,"\\uDE00"]', [1]],
  ])("include half a surrogate pair in %s", (text, path) => expect(fits(text).loneSurrogateAt).toEqual(path));

  test.each(['"\\ud83d\\ude00"', '"\\\\u0000"', '"\\\\ud800"', '"😀"'])("are not found in %s", (text) => {
    expect(fits(text)).toMatchObject({ nulAt: undefined, loneSurrogateAt: undefined });
  });

  test("are found wherever JSON.stringify has to escape them", () => {
    const unit = fc.constantFrom(0, 0x61, 0xd83d, 0xde00, 0xd800, 0xdfff, 0x2028);
    fc.assert(
      fc.property(fc.array(unit), (units) => {
        const value = String.fromCharCode(...units);
        const found = fits(JSON.stringify(value));
        expect(found.loneSurrogateAt === undefined).toBe(value.isWellFormed());
        expect(found.nulAt === undefined).toBe(!value.includes("\0"));
      }),
    );
  });
});

test.each<[string, boolean]>([
  ...(["0", "1", "-1", "0.5", "1.25", "123456789012345", "9007199254740991", "1e+21"] as const).map(
    (text): [string, boolean] => [text, false],
  ),
  ...(["1.0", "-0", "1e3", "1E5", "9007199254740993", "0.10", "1e400", "0.1000000000000000055"] as const).map(
    (text): [string, boolean] => [text, true],
  ),
])("whether JSON.stringify would rewrite %s: %s", (text, is) =>
  expect(fits(`[${text}]`).isRewritten).toBe(is),
);

test("an object whose names JavaScript would reorder is reported", () => {
  expect([fits('{"b":1,"1":2}').isRewritten, fits('{"b":1,"a1":2}').isRewritten]).toEqual([true, false]);
});

test("the members of the outermost object are reported in order with their places, even if names repeat", () => {
  const text = ' { "a" : [1, {"x":2}] ,"é\\n":"b}" , "a":3}';
  const bytes = Buffer.from(text);
  const members: JsonMember[] = [];
  scanJson(bytes, { depthMax: 10, onMember: (member) => members.push(member) });
  const told = members.map(({ name, start, valueStart, end }) => [
    name,
    bytes.toString("utf8", start, valueStart),
    bytes.toString("utf8", valueStart, end),
  ]);
  expect(told).toEqual([
    ["a", '"a" : ', '[1, {"x":2}]'],
    ["é\n", '"é\\n":', '"b}"'],
    ["a", '"a":', "3"],
  ]);
});
