/** `berth dev` as a process, with a Berth of its own: without an engine, without a Redis, without the SDK. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readEvents } from "../../src/cli/event-stream.ts";
import { BERTH_MAIN, inherited } from "../harness/rigs/berth.ts";

const READY = /berth-tests\/dials-out is ready, [\d.]+ s after its start began/;
const PLUGIN = join(import.meta.dirname, "../plugins/dials-out");
const TENANT = "6f1a1c1e-0000-4000-8000-000000000001";
/** On a machine whose processors are all taken. */
const WAIT_MS_MAX = 60_000;

let folder: string;
let plugin: string;
/** With a Berth of its own, which all tests here share: its start takes longest. */
let own: Command;
/** The call to try that it has printed. */
let line: string;
const commands: Command[] = [];
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

function start(env: Record<string, string> = {}): Command {
  const command = new Command(env);
  commands.push(command);
  return command;
}

class Command {
  readonly output: string[] = [];
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #ended: Promise<number | null>;
  #heard = Promise.withResolvers<void>();

  constructor(env: Record<string, string>) {
    this.#child = spawn(process.execPath, [BERTH_MAIN, "dev", plugin], {
      env: { ...inherited(), XDG_STATE_HOME: folder, XDG_CONFIG_HOME: folder, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#ended = once(this.#child, "close").then(([code]) => code);
    for (const stream of [this.#child.stdout, this.#child.stderr])
      createInterface({ input: stream }).on("line", (line) => {
        this.output.push(line);
        this.#heard.resolve();
        this.#heard = Promise.withResolvers();
      });
  }

  /** The first line from `from` on that matches; fails with the output where the command ends before. */
  async line(pattern: RegExp, from = 0): Promise<{ readonly text: string; readonly at: number }> {
    const giveUp = AbortSignal.timeout(WAIT_MS_MAX);
    const over = Promise.race([this.#ended, once(giveUp, "abort")]).then(() => "over" as const);
    for (let at = from; ; at++) {
      while (this.output[at] === undefined)
        if ((await Promise.race([this.#heard.promise, over])) === "over" && this.output[at] === undefined)
          throw new Error(`no line ${pattern} in:\n${this.output.join("\n")}`);
      const text = this.output[at] ?? "";
      if (pattern.test(text)) return { text, at: at + 1 };
    }
  }

  async stop(signal: NodeJS.Signals): Promise<number | null> {
    this.#child.kill(signal);
    return await this.#ended;
  }
}

/** Where the line to try sends its request. */
async function readCall(line: string) {
  const [, url = "", keyFile = ""] = /^curl -sSN (\S+) .*\$\(cat (\S+)\)/.exec(line) ?? [];
  const body = JSON.parse(/-d '(.*)'$/.exec(line)?.[1] ?? "");
  return { url, body, key: (await readFile(keyFile, "utf8")).trim() };
}

/** The events of the call to try, as JSON. */
async function call(line: string, parameters: object = {}): Promise<string> {
  const { url, key, body } = await readCall(line);
  const response = await fetch(url, {
    method: "POST",
    headers: { authorization: `Bearer ${key}`, "content-type": "application/json" },
    body: JSON.stringify({ ...body, tool_parameters: { ...body.tool_parameters, ...parameters } }),
  });
  const events: unknown[] = [];
  for await (const { data } of readEvents(response)) events.push(data);
  return JSON.stringify(events);
}

/** The plugin's processes, each with a child, in the order of their starts. */
function processesOf({ output }: Command): readonly number[] {
  const lines = output.filter((line) => line.startsWith("plugin: processes "));
  return lines.flatMap((line) => line.split(" ").slice(2).map(Number));
}

/** One that nobody has asked for its end yet is dead, too. */
async function isAlive(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "State:\tX");
  return !/^State:\t[ZX]/m.test(status);
}

async function living(pids: readonly number[]): Promise<readonly number[]> {
  const alive = await Promise.all(pids.map(isAlive));
  return pids.filter((_, index) => alive[index]);
}

test("a call is answered and printed with its time and outcome, and an error with its traceback", async () => {
  expect(await call(line)).toContain('"text":"first"');
  await own.line(/^call: tool\/invoke_tool say {2}\d+ ms {2}ok, 1 message$/);
  expect(await call(line, { error: "no" })).toContain("no");
  const failed = await own.line(/^call: tool\/invoke_tool say {2}\d+ ms {2}failed: ValueError: no$/);
  await own.line(/^ {2}Traceback \(most recent call last\)/, failed.at);
});

test("what is saved is what answers, also after an error of syntax", async () => {
  await writeFile(join(plugin, "answer.py"), 'ANSWER = "second"\n');
  const changed = await own.line(/^dev: changed: answer\.py$/);
  const again = await own.line(READY, changed.at);
  expect(await call(line)).toContain('"text":"second"');

  await writeFile(join(plugin, "answer.py"), "ANSWER = (\n");
  const broken = await own.line(/^plugin: SyntaxError: /, again.at);
  await own.line(/the plugin ended with exit code 1; it starts again when a file changes/, broken.at);
  await writeFile(join(plugin, "answer.py"), 'ANSWER = "third"\n');
  await own.line(READY, broken.at);
  expect(await call(line)).toContain('"text":"third"');
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

test("Ctrl-C ends the plugin's processes with all that they started", async () => {
  const pids = processesOf(own);
  expect(await living(pids)).toEqual(pids.slice(-2));
  expect(await own.stop("SIGINT")).toBe(0);
  expect(own.output.at(-1)).toBe("dev: stopping");
  expect(await living(pids)).toEqual([]);
});
