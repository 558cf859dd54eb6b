/** `berth dev --container` on the real engine, with a plugin that needs no SDK and a wheel that lies beside it. */
import { once } from "node:events";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { type AddressInfo, createServer, type Server } from "node:net";
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
const answer = (port: number) => `
import os
import socket
from horn import SOUND

def outcome(work):
    try:
        work()
        return "done"
    except OSError as error:
        return error.strerror

def write(path):
    return outcome(lambda: open(path, "w").close())

def gateway():
    rows = [line.split() for line in open("/proc/net/route")]
    return next(socket.inet_ntoa(bytes.fromhex(row[2])[::-1]) for row in rows if row[1] == "00000000")

HOST = outcome(lambda: socket.create_connection((gateway(), ${port}), 5))
PLACES = f"plugin: {write('/plugin/x')}, venv: {write('/opt/venv/x')}, tmp: {write('/tmp/x')}"
ANSWER = f"{SOUND}, {PLACES}, host: {HOST}, uid {os.getuid()}, {os.environ['HF_HOME']}"
`;

let folder: string;
let plugin: string;
let engine: Engine;
/** A service of the host, on all its addresses. */
let listener: Server;
let command: DevCommand;
beforeAll(async () => {
  engine = testEngine();
  folder = await mkdtemp(join(tmpdir(), "berth-dev-"));
  plugin = join(folder, "plugin");
  await cp(PLUGIN, plugin, { recursive: true });
  const manifest = join(plugin, "manifest.yaml");
  const asked = `memory: ${MEMORY_MB * (1 << 20)}`;
  await writeFile(manifest, (await readFile(manifest, "utf8")).replace(/memory: \d+/, asked));
  listener = createServer((socket) => void socket.destroy()).listen(0);
  await once(listener, "listening");
  await writeFile(join(plugin, "answer.py"), answer((listener.address() as AddressInfo).port));
  await requireHorn("1.0");
  command = start();
});
afterAll(async () => {
  await command.stop("SIGKILL");
  for (const { id } of await left()) await engine.removeContainer(id, AbortSignal.timeout(60_000));
  for (const name of await networks()) await engine.removeNetwork(name, AbortSignal.timeout(60_000));
  await engine[Symbol.asyncDispose]();
  listener.close();
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

/** Of this test's state folder, which is known once the command has printed its first line. */
async function instanceLabel() {
  const state = /data in (\S+)/.exec(command.output.join("\n"))?.[1] ?? "";
  const instance = await readFile(join(state, "containers/instance"), "utf8").catch(() => "none");
  return { "berth.instance": instance };
}

/** Its containers, those of its network too. */
async function left() {
  return await engine.listContainers(await instanceLabel(), AbortSignal.timeout(60_000));
}

/** Bytes, as the engine reports them of a container of the plugin. */
async function memoryGranted(): Promise<number | undefined> {
  const [container] = (await left()).filter(({ labels }) => labels["berth.kind"] === "dev");
  const state = container && (await engine.findContainer(container.id, AbortSignal.timeout(60_000)));
  return state?.resources?.memoryBytes;
}

async function networks() {
  return await engine.listNetworks(await instanceLabel(), AbortSignal.timeout(60_000));
}

test("it is called in a container with what was granted, what is saved answers, and nothing is left of it", async () => {
  const ready = await command.line(READY);
  const line = (await command.line(/^curl /, ready.at)).text;
  const denied = "Read-only file system";
  const said = await callTried(line);
  expect(said).toContain(`horn 1.0, plugin: ${denied}, venv: ${denied}, tmp: done`);
  expect(said).toContain("host: Connection refused, uid 100000, /tmp/.cache/huggingface");
  // A container may be replaced between the list and the look at it.
  await expect.poll(memoryGranted).toBe((MEMORY_MB + 100 + 16) * (1 << 20));

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
  const killed = async () => (await left()).filter(({ labels }) => labels["berth.kind"] === "dev");
  const ended = async () => ((await killed()).every(({ phase }) => phase !== "running") ? true : undefined);
  await eventually(ended, 60_000);
  expect(await killed()).not.toEqual([]);

  command = start();
  await command.line(READY);
  expect(await command.stop("SIGINT")).toBe(0);
  expect([...(await left()), ...(await networks())]).toEqual([]);
});
