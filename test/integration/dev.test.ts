/** `berth dev` as a process, with a Berth of its own: without an engine, without a Redis, without the SDK. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { callTried, DevCommand, living, readCall } from "../harness/processes/dev-command.ts";
import { endOf } from "../harness/processes/ended.ts";
import { BERTH_MAIN, inherited } from "../harness/rigs/berth.ts";

const READY = /berth-tests\/dials-out is ready, [\d.]+ s after its start began/;
const PLUGIN = join(import.meta.dirname, "../plugins/dials-out");
const TENANT = "6f1a1c1e-0000-4000-8000-000000000001";

let folder: string;
let plugin: string;
/** With a Berth of its own, which all tests here share: its start takes longest. */
let own: DevCommand;
/** The call to try that it has printed. */
let line: string;
const commands: DevCommand[] = [];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "berth-dev-"));
  plugin = join(folder, "plugin");
  await cp(PLUGIN, plugin, { recursive: true });
  // An environment that the author made.
  await mkdir(join(plugin, ".venv/bin"), { recursive: true });
  await symlink("/usr/bin/python3", join(plugin, ".venv/bin/python"));
  await writeFile(join(plugin, ".venv/pyvenv.cfg"), "home = /usr/bin\n");
  own = start();
  line = (await own.line(/^curl /, (await own.line(READY)).at)).text;
});
afterAll(async () => {
  for (const command of commands) {
    await command.stop("SIGKILL");
    for (const pid of await living(processesOf(command))) process.kill(pid, "SIGKILL");
  }
  await rm(folder, { recursive: true });
});

function start(env: Record<string, string> = {}): DevCommand {
  const command = new DevCommand(plugin, { XDG_STATE_HOME: folder, XDG_CONFIG_HOME: folder, ...env });
  commands.push(command);
  return command;
}

/** The plugin's processes, each with a child, in the order of their starts. */
function processesOf({ output }: DevCommand): readonly number[] {
  const lines = output.filter((line) => line.startsWith("plugin: processes "));
  return lines.flatMap((line) => line.split(" ").slice(2).map(Number));
}

test("a call is answered and printed with its time and outcome, and an error with its traceback", async () => {
  expect(await callTried(line)).toContain('"text":"first"');
  await own.line(/^call: tool\/invoke_tool say {2}\d+ ms {2}ok, 1 message$/);
  expect(await callTried(line, { error: "no" })).toContain("no");
  const failed = await own.line(/^call: tool\/invoke_tool say {2}\d+ ms {2}failed: ValueError: no$/);
  await own.line(/^ {2}Traceback \(most recent call last\)/, failed.at);
});

test("what is saved is what answers, also after an error of syntax", async () => {
  await writeFile(join(plugin, "answer.py"), 'ANSWER = "second"\n');
  const changed = await own.line(/^dev: changed: answer\.py$/);
  const again = await own.line(READY, changed.at);
  expect(await callTried(line)).toContain('"text":"second"');

  await writeFile(join(plugin, "answer.py"), "ANSWER = (\n");
  const broken = await own.line(/^plugin: SyntaxError: /, again.at);
  await own.line(/the plugin ended with exit code 1; it starts again when a file changes/, broken.at);
  await writeFile(join(plugin, "answer.py"), 'ANSWER = "third"\n');
  await own.line(READY, broken.at);
  expect(await callTried(line)).toContain('"text":"third"');
});

test("berth call finds the tool by its name, prints what it yields and fails with its error", async () => {
  const { url, key } = await readCall(line);
  const [, tenant = ""] = /tenants\/([^/]+)/.exec(url) ?? [];
  const env = { ...inherited(), BERTH_URL: new URL(url).origin, BERTH_KEY: key, BERTH_TENANT: tenant };
  const berth = (...command: string[]) =>
    endOf(spawn(process.execPath, [BERTH_MAIN, ...command], { env, stdio: ["ignore", "pipe", "pipe"] }));
  expect(await berth("call", "say")).toEqual({ code: 0, output: "third\n", errors: "" });
  expect(await berth("call", "berth-tests/dials-out/say", "error=no")).toMatchObject({
    code: 1,
    output: "",
    errors: expect.stringMatching(/^berth call: .*no/),
  });
  expect(await berth("call", "sya")).toMatchObject({
    code: 1,
    errors: "berth call: The tenant has no tool sya; it has say.\n",
  });
});

test("a plugin connects to a named server for the tenant, and its installation goes with the command", async () => {
  const { url, key } = await readCall(line);
  const { origin } = new URL(url);
  const installed = async () => {
    const headers = { authorization: `Bearer ${key}` };
    const response = await fetch(`${origin}/v1/tenants/${TENANT}/installations`, { headers });
    const { items } = (await response.json()) as { items: { plugin_id: string; source: string }[] };
    return items.map(({ plugin_id, source }) => [plugin_id, source]);
  };
  const command = start({ BERTH_URL: origin, BERTH_KEY: key, BERTH_TENANT: TENANT });
  const { text } = await command.line(/^curl /, (await command.line(READY)).at);
  expect(text).toContain(`/v1/tenants/${TENANT}/plugins/berth-tests/dials-out/invoke_tool`);
  expect(text).toContain('"Authorization: Bearer $BERTH_KEY"');
  expect(await installed()).toEqual([["berth-tests/dials-out", "remote"]]);
  expect(await command.stop("SIGTERM")).toBe(0);
  expect(await installed()).toEqual([]);
  expect(await living(processesOf(command))).toEqual([]);
});

test("a named server that refuses to list installations for a moment is asked again", async () => {
  const { url, key } = await readCall(line);
  let refused = 0;
  const server = createServer(async (request, response) => {
    const isList = request.url?.includes("/installations?") === true;
    if (isList && refused++ === 0) return void response.writeHead(503).end();
    const { method = "", headers } = request;
    const passed = { method, headers: { authorization: headers.authorization ?? "" } };
    const answer = await fetch(new URL(request.url ?? "", url), passed);
    response.writeHead(answer.status, { "content-type": "application/json" }).end(await answer.text());
  }).listen(0, "127.0.0.1");
  onTestFinished(() => void server.close());
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const named = { BERTH_URL: `http://127.0.0.1:${port}`, BERTH_KEY: key, BERTH_TENANT: TENANT };
  const command = start(named);
  await command.line(READY);
  expect(refused).toBeGreaterThan(1);
  expect(await command.stop("SIGTERM")).toBe(0);
});

test("Ctrl-C ends the plugin's processes with all that they started", async () => {
  const pids = processesOf(own);
  expect(await living(pids)).toEqual(pids.slice(-2));
  expect(await own.stop("SIGINT")).toBe(0);
  expect(own.output.at(-1)).toBe("dev: stopping");
  expect(await living(pids)).toEqual([]);
});
