import { expect, test } from "vitest";
import { HOST_CALL_TYPES, parseHostCallPlaces, placeOf, platformCallTypes } from "./host-call.ts";

test.each<[string, object]>([
  ["", { types: {} }],
  ["local", { all: "local", types: {} }],
  [" platform , llm=local,tool = platform", { all: "platform", types: { llm: "local", tool: "platform" } }],
  ["llm=local,", { types: { llm: "local" } }],
])("%j says who serves what", (text, places) => {
  expect(parseHostCallPlaces(text)).toEqual(places);
});

test.each([
  "dify",
  "llm",
  "llm=",
  "llm=dify",
  "sing=local",
  "storage=platform",
  "storage=local",
  "llm=local=local",
  "llm=local,llm=platform",
  "local,platform",
  "constructor=local",
])("%j is refused", (text) => {
  expect(parseHostCallPlaces(text)).toBeUndefined();
});

test("calls go to the platform where there is one, unless the operator says otherwise", () => {
  const open = { types: {} };
  const chosen = { all: "local", types: { llm: "platform" } } as const;
  for (const type of platformCallTypes()) {
    expect(placeOf(type, open, true)).toBe("platform");
    expect(placeOf(type, open, false)).toBe("local");
    expect(placeOf(type, chosen, true)).toBe(type === "llm" ? "platform" : "local");
  }
});

test("what plugins store is always kept here", () => {
  expect(HOST_CALL_TYPES).toContain("storage");
  expect(placeOf("storage", { all: "platform", types: {} }, true)).toBe("local");
});
