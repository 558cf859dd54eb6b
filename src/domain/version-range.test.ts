import { describe, expect, test } from "vitest";
import { fitsVersion } from "./version-range.ts";

const TABLE: readonly (readonly [range: string, fitting: readonly string[], others: readonly string[]])[] = [
  ["1.2.3", ["1.2.3"], ["1.2.4", "1.2.3-beta", "1.2.2"]],
  ["1.2.3-beta", ["1.2.3-beta"], ["1.2.3", "1.2.3-alpha"]],
  ["~1.2.3", ["1.2.3", "1.2.10"], ["1.2.2", "1.3.0", "1.3.0-beta", "1.2.4-beta"]],
  ["^1.2.3", ["1.2.3", "1.10.0"], ["1.2.2", "2.0.0", "2.0.0-beta", "1.3.0-beta"]],
  ["^0.2.3", ["0.2.3", "0.2.9"], ["0.3.0", "1.0.0"]],
  ["^0.0.3", ["0.0.3"], ["0.0.4", "0.1.0"]],
  ["^1.2.3-beta2", ["1.2.3-beta2", "1.2.3-beta10", "1.2.3", "1.9.0"], ["1.2.3-beta1", "1.3.0-beta3"]],
  ["1.x.x", ["1.0.0", "1.99.4"], ["2.0.0", "1.0.0-beta"]],
  ["X.2.x", ["1.2.0", "9.2.9"], ["1.3.0"]],
  ["1.0.0-2.0.0", ["1.0.0", "1.5.5", "2.0.0"], ["0.9.9", "2.0.1", "1.5.0-beta"]],
  ["1.0.0-beta-2.0.0", ["1.0.0-beta", "1.0.0-rc", "2.0.0"], ["1.0.0-alpha", "2.0.0-beta"]],
  ["1.0", [], ["1.0.0"]],
  ["^x", [], ["1.0.0"]],
  ["", [], ["1.0.0"]],
];

describe.each(TABLE)("the range %s", (range, fitting, others) => {
  test("contains exactly the expected versions", () => {
    for (const version of fitting) expect([version, fitsVersion(range, version)]).toEqual([version, true]);
    for (const version of others) expect([version, fitsVersion(range, version)]).toEqual([version, false]);
  });
});
