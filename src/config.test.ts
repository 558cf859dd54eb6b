import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readConfig, redactedSettings, SETTINGS } from "./config.ts";

describe("readConfig", () => {
  test("an empty environment gives the defaults, in the units that the parts take", () => {
    const { settings, limits, dataFolder } = readConfig({});
    expect(settings.BERTH_PORT).toBe(5002);
    expect(settings.DATABASE_URL).toBeUndefined();
    expect(dataFolder).toBe(`${process.cwd()}/data`);
    expect(limits.memoryBytesFloor).toBe(268_435_456);
    expect(limits.ceiling).toMatchObject({ cpuMillis: 1000, timeoutMs: 600_000, concurrencyMax: 1000 });
  });

  test("an empty value counts as not set", () => {
    expect(readConfig({ BERTH_PORT: "", REDIS_URL: "" }).settings.BERTH_PORT).toBe(5002);
  });

  test("all problems are named at once, each with its value and what is accepted", () => {
    const read = () => readConfig({ BERTH_PORT: "-1", BERTH_ISOLATION: "none", BERTH_PROT: "1" });
    expect(read).toThrow(/BERTH_PORT is "-1"; accepted: a whole number from 0 to 65535/);
    expect(read).toThrow(/BERTH_ISOLATION is "none"; accepted: tenant, shared/);
    expect(read).toThrow(/BERTH_PROT is no setting of Berth/);
  });

  test("what the image build reads from the same environment is no misspelt setting", () => {
    expect(() => readConfig({ BERTH_RUNTIME_BASE: "python:3.12-slim", BERTH_TEST_X: "1" })).not.toThrow();
  });

  test("a secret is never shown, neither in the log nor in a problem", () => {
    const url = "https://user:hunter2@index.example/simple";
    expect(
      JSON.stringify(redactedSettings(readConfig({ BERTH_PACKAGE_INDEX_URL: url }).settings)),
    ).not.toContain("hunter2");
  });
});

test("README lists every setting with its default and what is accepted, and none beside", async () => {
  const readme = await readFile(join(import.meta.dirname, "../README.md"), "utf8");
  const listed = readme.split("\n").filter((line) => /^\| `(BERTH_|DATABASE_URL|REDIS_URL)/.test(line));
  const expected = Object.entries(SETTINGS).map(([name, setting]) => {
    const fallback = setting.default === undefined || setting.default === "" ? "" : `\`${setting.default}\``;
    return `| \`${name}\` | ${fallback} | ${setting.about} | ${setting.accepted} |`;
  });
  expect(listed).toEqual(expected);
});
