import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";

const ROOT = join(import.meta.dirname, "../..");

const lines = (await readFile(join(ROOT, "docs/failures.md"), "utf8")).split("\n");
const rows = lines.filter((line) => line.startsWith("| ") && !/^\| (fault|---)/.test(line));

test("docs/failures.md has more than 20 rows, and each row has five columns", () => {
  expect(rows.length).toBeGreaterThan(20);
  for (const row of rows) expect(row.split(" | "), row).toHaveLength(5);
});

test.each(rows.map((row) => row.split(" | ")))(
  "%s: the test that docs/failures.md names exists",
  async (...cells) => {
    const [, file = "", name = ""] = /^`((?:test|src)\/[\w/.-]+)`: (.+) \|$/.exec(cells.at(-1) ?? "") ?? [];
    expect(await readFile(join(ROOT, file), "utf8")).toContain(name);
  },
);
