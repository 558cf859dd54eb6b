import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { budgetMs, expectedMs, FILE_SECONDS, machineFactor } from "./test-budgets.ts";

const ROOT = resolve(import.meta.dirname, "..");

describe("the time budget of a test file", () => {
  it("is set by name only for files that exist", () => {
    const gone = Object.keys(FILE_SECONDS).filter((file) => !existsSync(resolve(ROOT, file)));
    expect(gone).toEqual([]);
  });

  it.each(["src/a.test.ts", "scripts/a.test.ts", "test/contract/a.test.ts", "test/e2e/a.test.ts"])(
    "has a default for a file like %s that is not named",
    (file) => {
      expect(expectedMs(file)).toBeGreaterThan(0);
      expect(budgetMs(file)).toBeGreaterThan(expectedMs(file));
    },
  );

  it("is not shortened on a fast machine", () => {
    expect(machineFactor()).toBeGreaterThanOrEqual(1);
  });
});
