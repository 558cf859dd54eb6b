import { describe, expect, test } from "vitest";
import {
  anything,
  field,
  flag,
  list,
  map,
  max,
  min,
  named,
  needed,
  number,
  omitted,
  oneOf,
  optionalText,
  pointer,
  Reading,
  type Shape,
  struct,
  text,
  whole,
} from "./shape.ts";

const read = <T>(shape: Shape<T>, value: unknown) => shape.read(value, new Reading());
const readForm = <T>(shape: Shape<T>, value: unknown) => shape.read(value, new Reading({ isForm: true }));

function brokenBy<T>(shape: Shape<T>, value: unknown): string[] {
  const broken: string[] = [];
  shape.check?.(read(shape, value), "", broken);
  return broken.map((line) => /'(\S+)' Error:.* '(\S+)' tag$/.exec(line)?.slice(1).join(" ") ?? line);
}

describe("a value of another type, null or a missing value becomes the type's zero", () => {
  test.each([
    ["text", text, "a", ""],
    ["optionalText", optionalText, "a", null],
    ["whole", whole, 5, 0],
    ["number", number, 1.5, 0],
    ["flag", flag, true, false],
    ["map", map, { a: 1 }, null],
    ["list", list(text), ["a"], null],
    ["pointer", pointer(struct({ a: field(text) })), { a: "b" }, null],
  ] as const)("%s", (_, shape: Shape<unknown>, right, zero) => {
    expect(read(shape, right)).toEqual(right);
    expect(read(shape, null)).toEqual(zero);
    expect(read(shape, undefined)).toEqual(zero);
  });

  test.each([
    ["text", text, 5, ""],
    ["whole", whole, 1.5, 0],
    ["whole", whole, "5", 0],
    ["number", number, "5", 0],
    ["flag", flag, "true", false],
    ["map", map, [1], null],
    ["list", list(text), "a", null],
  ] as const)("%s of another type", (_, shape: Shape<unknown>, wrong, zero) => {
    expect(read(shape, wrong)).toEqual(zero);
  });

  test("an optional text of another type is empty, not null", () => {
    expect(read(optionalText, 5)).toBe("");
  });

  test("items of a list are read one by one", () => {
    expect(read(list(text), ["a", 5, null])).toEqual(["a", "", ""]);
  });
});

describe("a form's texts", () => {
  test.each([
    [whole, "12", 12],
    [whole, "x", 0],
    [whole, "", 0],
    [flag, "true", true],
    [flag, "1", true],
    [flag, "0", false],
    [flag, "", false],
    [list(text), "a", ["a"]],
    [list(text), ["a", "b"], ["a", "b"]],
  ] as const)("are converted to the type of the field (%#)", (shape: Shape<unknown>, given, meant) => {
    expect(readForm(shape, given)).toEqual(meant);
  });
});

describe("a struct", () => {
  const shape = struct({ page: field(whole), plugin_id: field(text), extra: omitted(text) });

  test("has all of its members in its own order, and no others", () => {
    const found = read(shape, { more: 1, plugin_id: "a" });
    expect(JSON.stringify(found)).toBe('{"page":0,"plugin_id":"a"}');
    expect(JSON.stringify(read(shape, "no object"))).toBe('{"page":0,"plugin_id":""}');
    expect(JSON.stringify(shape.zero)).toBe('{"page":0,"plugin_id":""}');
  });

  test("finds its members in upper and lower case; the exact name wins", () => {
    expect(read(shape, { Page: 3, PLUGIN_ID: "x", plugin_id: "y" })).toEqual({ page: 3, plugin_id: "y" });
  });

  test("leaves out an optional member that is the zero", () => {
    expect(read(shape, { extra: "" })).not.toHaveProperty("extra");
    expect(read(shape, { extra: "a" })).toHaveProperty("extra", "a");
  });

  test("ignores inherited members", () => {
    const inherited = struct({ constructor: field(anything), toString: field(text) });
    expect(read(inherited, {})).toEqual({ constructor: null, toString: "" });
  });

  test("reports the path of a value of another type", () => {
    const seen: string[] = [];
    const at = new Reading({ onMismatch: (path, expected) => void seen.push(`${path}: ${expected}`) });
    struct({ a: field(list(struct({ b: field(text) }))), c: field(whole) }).read(
      { a: [{}, { b: 5 }], c: "x" },
      at,
    );
    expect(seen).toEqual(["a.1.b: string", "c: int"]);
  });
});

describe("rules", () => {
  const shape = struct({
    page_size: needed(whole, min(1), max(256)),
    plugin_id: needed(text),
    mode: needed(text, oneOf(["a", "b"])),
    redirect_uri: named("RedirectURI", needed(text)),
    tags: needed(list(text, { rules: [min(2)] })),
    inner: field(struct({ id: needed(text) })),
    maybe: field(pointer(struct({ url: needed(text) }))),
    state: needed(map, min(1)),
  });

  test("name every field that breaks a rule, with its first broken rule, in order", () => {
    expect(brokenBy(shape, { page_size: 500, mode: "c", tags: ["ab", "x"], maybe: {}, state: {} })).toEqual([
      "PageSize max",
      "PluginID required",
      "Mode oneof",
      "RedirectURI required",
      "Tags[1] min",
      "Inner.ID required",
      "Maybe.URL required",
      "State min",
    ]);
  });

  test("accept an empty list or object as given", () => {
    const there = struct({ tags: needed(list(text)), bag: needed(map) });
    expect(brokenBy(there, { tags: [], bag: {} })).toEqual([]);
    expect(brokenBy(there, {})).toEqual(["Tags required", "Bag required"]);
  });

  test("do not apply to an optional member that is left out", () => {
    const shape = struct({ mode: omitted(text, oneOf(["a"])) });
    expect([brokenBy(shape, {}), brokenBy(shape, { mode: "b" })]).toEqual([[], ["Mode oneof"]]);
  });

  test("are reported in the words of the daemon's validator", () => {
    const broken: string[] = [];
    shape.check?.({ ...shape.zero, page_size: 500 }, "", broken);
    expect(broken[0]).toBe("Key: 'PageSize' Error:Field validation for 'PageSize' failed on the 'max' tag");
  });
});
