import { expect, it } from "vitest";
import { editDistance, nearest } from "./nearest.ts";

it.each([
  ["", "", 0],
  ["", "port", 4],
  ["port", "port", 0],
  ["prot", "port", 1],
  ["ports", "port", 1],
  ["pert", "port", 1],
  ["host", "port", 2],
  ["kitten", "sitting", 3],
])("the edit distance between %j and %j is %i in both directions", (a, b, distance) => {
  expect(editDistance(a, b)).toBe(distance);
  expect(editDistance(b, a)).toBe(distance);
});

it("the nearest candidates come first, at most as many as requested, and none that is far away", () => {
  const candidates = ["posts", "host", "port", "sport", "database"];
  expect(nearest("prot", candidates, { max: 3, distanceMax: 2 })).toEqual(["port", "sport"]);
  expect(nearest("port", candidates, { max: 2, distanceMax: 9 })).toEqual(["port", "sport"]);
  expect(nearest("zzz", candidates, { max: 3, distanceMax: 1 })).toEqual([]);
});
