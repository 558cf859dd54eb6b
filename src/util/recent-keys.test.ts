import { expect, test } from "vitest";
import { RecentKeys } from "./recent-keys.ts";

test("a key is new once, and again when so many others have come after it", () => {
  const seen = new RecentKeys(2);
  expect(["a", "a", "b", "a", "c", "b", "a"].map((key) => seen.isNew(key))).toEqual([
    true,
    false,
    true,
    false,
    true,
    false,
    true,
  ]);
});
