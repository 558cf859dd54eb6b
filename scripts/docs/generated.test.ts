import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import { HOST_CALL_BOUNDS } from "../../src/app/settings.ts";
import { DAEMON_NAMES } from "../../src/config/daemon/names.ts";
import { SETTING_GROUPS, SETTINGS } from "../../src/config/settings.ts";
import { HOST_CALL_TYPES } from "../../src/domain/host-call.ts";
import { commandsPage } from "./commands-page.ts";
import { withDaemonSettings } from "./daemon-settings.ts";
import { GENERATED } from "./generated.ts";
import { withHostCalls } from "./host-calls.ts";
import { settingsPage } from "./settings-page.ts";

test.each(Object.entries(GENERATED))(
  "%s is what `npm run docs` generates from the code",
  async (path, generate) => {
    const page = await readFile(new URL(`../../${path}`, import.meta.url), "utf8");
    expect(page).toBe(generate(page));
  },
);

test("the settings page lists every setting once, with its default and its accepted values", () => {
  const names = Object.values(SETTING_GROUPS).flatMap((group) => Object.keys(group));
  expect(names).toEqual(Object.keys(SETTINGS));
  expect(settingsPage()).toContain("| `BERTH_PORT` | `5002` | ");
  expect(settingsPage()).toContain(" | a whole number from 0 to 65535 |");
  expect(settingsPage()).toContain("| `DATABASE_URL` *secret* |  | ");
});

test("the page of commands has those that do something, with their arguments and options", () => {
  const page = commandsPage();
  expect(page).toContain("\n## berth pack DIR\n\nPack a folder as a package.\n\n| option |");
  expect(page).toContain("\n| `-o, --output <FILE>` | the package's file |\n");
  expect(page).toContain("\n## berth trust policy TENANT [POLICY]\n");
  expect(page).not.toContain("## berth trust\n");
});

test("the page of the daemon's settings keeps its text and has a row for each name", () => {
  const page = withDaemonSettings("# Settings\n\n## All names\n\nold rows\n");
  expect(page).toMatch(/^# Settings\n\n## All names\n/);
  expect(page).not.toContain("old rows");
  expect(page.match(/^[|] `\w+` [|]/gm)).toHaveLength(Object.keys(DAEMON_NAMES).length);
  expect(page).toContain("| `SERVER_HOST` | `BERTH_HOST`; default `0.0.0.0` |");
  expect(page).toContain("| `UV_PATH` | ignored: the runtime image has its own uv |");
});

test("the page of calls back keeps its text and has a row for each type", () => {
  const page = withHostCalls("# Calls back\n\n## Types\n\nold rows\n");
  expect(page).toMatch(/^# Calls back\n\n## Types\n/);
  expect(page).not.toContain("old rows");
  expect(page.match(/^[|] `\w+` [|]/gm)).toHaveLength(HOST_CALL_TYPES.length);
  expect(page).toContain(
    "| `llm` | `resource.permission.model.enabled and .llm` | `invoke/llm` | `invoke_llm` of a plugin | items |",
  );
  expect(page).toContain("| `upload_file` | nothing | `upload/file/request` | an error | one |");
});

test("the page of calls back has the bounds that hold", async () => {
  const page = await readFile(new URL("../../docs/host-calls.md", import.meta.url), "utf8");
  const { openMax, depthMax } = HOST_CALL_BOUNDS;
  expect(page).toContain(`A session can have ${openMax} calls back open at once.`);
  expect(page).toContain(`call each other at most ${depthMax} levels deep.`);
});
