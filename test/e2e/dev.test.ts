/** `berth dev` with a plugin of the public SDK, as it lies in the repository: the command makes its environment, too. */
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { callTried, DevCommand } from "../harness/processes/dev-command.ts";

const EXAMPLE = join(import.meta.dirname, "../../examples/stream-text");
const READY = /berth\/stream-text is ready/;

let folder: string;
let plugin: string;
let command: DevCommand;
/** The call to try that it has printed. */
let line: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "berth-dev-"));
  plugin = join(folder, "stream-text");
  await cp(EXAMPLE, plugin, { recursive: true });
  // To compile all of the SDK takes as long as the rest.
  command = new DevCommand(plugin, { XDG_STATE_HOME: folder, PIP_NO_COMPILE: "1" });
  await command.line(/^dev: making .*stream-text\/\.venv with /);
  await command.line(/^dev: the environment is ready after/);
  line = (await command.line(/^curl /, (await command.line(READY)).at)).text;
});
afterAll(async () => {
  await command.stop("SIGKILL");
  await rm(folder, { recursive: true });
});

test("a plugin of the SDK runs in an environment that is made for it, and what is saved is what answers", async () => {
  expect(await callTried(line, { text: "a b" })).toContain('"words":2');
  await command.line(/^call: tool\/invoke_tool stream_text {2}\d+ ms {2}ok, 3 messages$/);

  const tool = join(plugin, "tools/stream_text.py");
  const code = await readFile(tool, "utf8");
  await writeFile(tool, code.replace("text.split()", "text.upper().split()"));
  const changed = await command.line(/^dev: changed: tools\/stream_text\.py$/);
  const again = await command.line(READY, changed.at);
  expect(await callTried(line, { text: "loud" })).toContain('"LOUD"');

  await writeFile(tool, code.replace("text.split()", "1 / 0"));
  await command.line(READY, again.at);
  await callTried(line, { text: "x" });
  await command.line(/^call: .* failed: ZeroDivisionError: division by zero$/, again.at);
  expect(await command.stop("SIGINT")).toBe(0);
});
