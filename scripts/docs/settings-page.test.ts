import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { SETTING_GROUPS, SETTINGS } from "../../src/config/settings.ts";
import { SETTINGS_PAGE, settingsPage } from "./settings-page.ts";

test("docs/reference/settings.md is what `npm run docs` generates from the schema", async () => {
  expect(await readFile(SETTINGS_PAGE, "utf8")).toBe(settingsPage());
});

test("the page has every setting exactly once, with its default and what is accepted", () => {
  const names = Object.values(SETTING_GROUPS).flatMap((group) => Object.keys(group));
  expect(names).toEqual(Object.keys(SETTINGS));
  expect(settingsPage()).toContain("| `BERTH_PORT` | `5002` | ");
  expect(settingsPage()).toContain(" | a whole number from 0 to 65535 |");
  expect(settingsPage()).toContain("| `DATABASE_URL` *secret* |  | ");
});
