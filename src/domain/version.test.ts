import fc from "fast-check";
import { expect, test } from "vitest";
import { compareVersions } from "./version.ts";

test("numbers count as numbers, a tag comes before its release, and a missing number is 0", () => {
  const sorted = [
    ...["0.0.1", "0.0.9", "0.0.10-alpha", "0.0.10-beta2", "0.0.10-beta10", "0.0.10-rc1", "0.0.10"],
    ...["0.1", "1.2.3-1", "1.2.3-beta", "1.2.3", "1.10.0", "2.0.0.1", "10.0.0"],
  ];
  const shuffled = sorted.toReversed();
  expect(shuffled.sort(compareVersions)).toEqual(sorted);
  expect(compareVersions("1.2", "1.2.0")).toBe(0);
});

test("any versions are in a consistent order", () => {
  const version = fc
    .tuple(fc.array(fc.nat({ max: 12 }), { minLength: 2, maxLength: 4 }), fc.stringMatching(/^\w{0,4}$/))
    .map(([numbers, tag]) => numbers.join(".") + (tag === "" ? "" : `-${tag}`));
  fc.assert(
    fc.property(version, version, version, (a, b, c) => {
      expect(compareVersions(a, a)).toBe(0);
      // no negative zero, which is what the plain minus of 0 is
      expect(compareVersions(a, b)).toBe(0 - compareVersions(b, a));
      const [x, y, z] = [a, b, c].sort(compareVersions) as [string, string, string];
      expect(compareVersions(x, z)).toBeLessThanOrEqual(0);
      expect(Math.max(compareVersions(x, y), compareVersions(y, z))).toBeLessThanOrEqual(0);
    }),
  );
});
