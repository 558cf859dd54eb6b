import fc from "fast-check";
import { expect, test } from "vitest";
import { membersWithout, placesIn } from "./json-places.ts";

test("members are removed by their places, and the others stay as written", () => {
  const text = '{ "é" : 1.0 ,"a":[1, {"x":2}] , "b" : "}," }';
  const without = (...names: string[]) => {
    const places = placesIn(text, new Set(names));
    return membersWithout(text, [...places.values()]);
  };
  expect(without()).toBe('"é" : 1.0 ,"a":[1, {"x":2}] , "b" : "},"');
  expect(without("é")).toBe('"a":[1, {"x":2}] , "b" : "},"');
  expect(without("a")).toBe('"é" : 1.0 , "b" : "},"');
  expect(without("b")).toBe('"é" : 1.0 ,"a":[1, {"x":2}]');
  expect(without("é", "a", "b")).toBe("");
  const { valueStart, end } = placesIn(text, new Set(["b"])).get("b") ?? { valueStart: 0, end: 0 };
  expect(text.slice(valueStart, end)).toBe('"},"');
});

test("any object without the members at given places is the same object without those members", () => {
  const object = fc.dictionary(fc.constantFrom("a", "b", "é", '"', "c,}"), fc.jsonValue({ maxDepth: 2 }));
  fc.assert(
    fc.property(object, fc.subarray(["a", "é", '"', "c,}"]), fc.constantFrom(0, 2), (given, names, space) => {
      const text = JSON.stringify(given, undefined, space);
      const left = membersWithout(text, [...placesIn(text, new Set(names)).values()]);
      const kept = Object.entries(Object(JSON.parse(text))).filter(([name]) => !names.includes(name));
      expect(JSON.parse(`{${left}}`)).toEqual(Object.fromEntries(kept));
    }),
  );
});
