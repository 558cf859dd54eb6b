/** `berth dev --container` on the real engine, with a plugin that needs no SDK and a wheel that lies beside it. */
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Engine } from "../../src/engine/engine.ts";
import { eventually } from "../harness/clients/client.ts";
import { callTried, DevCommand } from "../harness/processes/dev-command.ts";
import { testEngine } from "../harness/rigs/build.ts";
import { packWheel } from "../harness/servers/wheel-index.ts";

const PLUGIN = join(import.meta.dirname, "../plugins/dials-out");
const READY = /berth-tests\/dials-out is ready/;
/** Asked for; what the container has beside it is for `/tmp` and the programs around the plugin. */
const MEMORY_MB = 300;

/** Says what its container lets it do. */
const ANSWER = `
import os
from horn import SOUND

def outcome(path):
    try:
        open(path, "w").close()
        return "written"
    except OSError as error:
        return error.strerror

ANSWER = f"{SOUND}, plugin: {outcome('/plugin/x')}, venv: {outcome('/opt/venv/x')}, tmp: {outcome('/tmp/x')}, uid {os.getuid()}"
`;

let folder: string;
let plugin: string;
let engine: Engine;
let command: DevCommand;
beforeAll(async () => {
  engine = testEngine();
  folder = await mkdtemp(join(tmpdir(), "berth-dev-"));
  plugin = join(folder, "plugin");
  await cp(PLUGIN, plugin, { recursive: true });
  const manifest = join(plugin, "manifest.yaml");
  const asked = `memory: ${MEMORY_MB * (1 << 20)}`;
  await writeFile(manifest, (await readFile(manifest, "utf8")).replace(/memory: \d+/, asked));
  await writeFile(join(plugin, "answer.py"), ANSWER);
  await requireHorn("1.0");
  command = start();
});
afterAll(async () => {
  await command.stop("SIGKILL");
  for (const { id } of await left()) await engine.removeContainer(id, AbortSignal.timeout(60_000));
  await engine[Symbol.asyncDispose]();
  await rm(folder, { recursive: true });
});

function start(): DevCommand {
  return new DevCommand(plugin, { XDG_STATE_HOME: folder }, ["--container"]);
}

async function requireHorn(version: string): Promise<void> {
  const file = `horn-${version}-py3-none-any.whl`;
  const files = { "horn.py": `SOUND = "horn ${version}"\n` };
  await writeFile(join(plugin, file), await packWheel({ name: "horn", version, files }));
  await writeFile(join(plugin, "requirements.txt"), `./${file}\n`);
}

/** The containers of this test's state folder, those of its network too. */
async function left() {
  const state = /data in (\S+)/.exec(command.output.join("\n"))?.[1] ?? "";
  const instance = await readFile(join(state, "containers/instance"), "utf8").catch(() => "none");
  return await engine.listContainers({ "berth.instance": instance }, AbortSignal.timeout(60_000));
}

test("it is called in a container with what was granted, what is saved answers, and nothing is left of it", async () => {
  const ready = await command.line(READY);
  const line = (await command.line(/^curl /, ready.at)).text;
  const denied = "Read-only file system";
  expect(await callTried(line)).toContain(
    `horn 1.0, plugin: ${denied}, venv: ${denied}, tmp: written, uid 100000`,
  );
  const [container] = (await left()).filter(({ labels }) => labels["berth.kind"] === "dev");
  const state = await engine.findContainer(container?.id ?? "", AbortSignal.timeout(60_000));
  expect(state?.resources?.memoryBytes).toBe((MEMORY_MB + 100 + 16) * (1 << 20));

  await requireHorn("2.0");
  const other = await command.line(/^dev: changed: .*requirements\.txt$/, ready.at);
  await command.line(READY, other.at);
  expect(await callTried(line)).toContain("horn 2.0");
  await writeFile(join(plugin, "answer.py"), 'ANSWER = "saved"\n');
  const saved = await command.line(/^dev: changed: answer\.py$/, other.at);
  await command.line(READY, saved.at);
  expect(await callTried(line)).toContain('"text":"saved"');

  await writeFile(join(plugin, "answer.py"), "ANSWER = bytearray(b'x') * (1 << 30)\n");
  await command.line(
    /^dev: the plugin ended with exit code 137, because it needed more than its 416 MB/,
    saved.at,
  );
  await writeFile(join(plugin, "answer.py"), 'ANSWER = "again"\n');
  await command.line(READY, command.output.length);

  await command.stop("SIGKILL");
  const running = async () => (await left()).filter(({ labels }) => labels["berth.kind"] === "dev");
  const ended = async () => ((await running()).every(({ phase }) => phase === "exited") ? true : undefined);
  await eventually(ended, 60_000);
  expect(await running()).not.toEqual([]);

  command = start();
  await command.line(READY);
  expect(await command.stop("SIGINT")).toBe(0);
  expect(await left()).toEqual([]);
});
