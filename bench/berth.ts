/**
 * Berth under load: `berth serve` with its defaults on a data folder of its own, its log in a file. A pipe that this
 * process would have to read costs CPU time that the measured ones want.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { closeSync, createReadStream, openSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { Agent, request as httpRequest } from "node:http";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout as delay } from "node:timers/promises";
import { readEvents } from "../src/cli/event-stream.ts";
import { INVOCATION, sinceMade } from "./call.ts";
import type { Door } from "./dify-door.ts";
import { type BerthLoad, daemonTarget, type Effort, load, type Target } from "./load.ts";
import { type ContainerProcesses, containerProcesses, cpuMicros, output } from "./processes.ts";

const MAIN = join(import.meta.dirname, "../src/main.ts");
const DIFY_KEY = "a key for the bench only";
const START_MS_MAX = 60_000;
const RESTART_MS_MAX = 30_000;

export interface Installed {
  readonly tenant: string;
  readonly installation: string;
  /** From the request to `ready`. */
  readonly totalMs: number;
  /** From `starting` to `ready`. */
  readonly startMs: number;
}

interface Answer {
  readonly status: number;
  readonly text: string;
  /** From the moment the plugin creates the first message to its arrival. */
  readonly firstEventMs: number | undefined;
}

export class Berth implements AsyncDisposable {
  readonly startMs: number;
  readonly #child: ChildProcess;
  readonly #url: string;
  readonly #instance: string;
  readonly #key: string;
  readonly #logFile: string;
  readonly #agent = new Agent({ keepAlive: true, maxSockets: 1 });

  private constructor(from: {
    child: ChildProcess;
    url: string;
    instance: string;
    key: string;
    logFile: string;
    startMs: number;
  }) {
    this.#child = from.child;
    this.#url = from.url;
    this.#instance = from.instance;
    this.#key = from.key;
    this.#logFile = from.logFile;
    this.startMs = from.startMs;
  }

  /** `settings`: those that differ from the defaults. */
  static async start(
    folder: string,
    nodeArgs: readonly string[],
    settings: Readonly<Record<string, string>> = {},
  ): Promise<Berth> {
    const data = join(folder, "data");
    const logFile = join(folder, "berth.log");
    const log = openSync(logFile, "w");
    const began = performance.now();
    const child = spawn(process.execPath, [...nodeArgs, MAIN, "serve"], {
      env: { ...environment(), BERTH_PORT: "0", BERTH_DATA: data, BERTH_DIFY_KEY: DIFY_KEY, ...settings },
      stdio: ["ignore", log, "inherit"],
      cwd: folder,
    });
    closeSync(log);
    const listening = await firstLog(child, logFile, "http.listen");
    const { url, instance } = listening;
    const key = (await readFile(join(data, "admin-key"), "utf8")).trim();
    const startMs = performance.now() - began;
    return new Berth({ child, url: String(url), instance: String(instance), key, logFile, startMs });
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get isRunning(): boolean {
    return this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** The key of a Dify API server. */
  get door(): Door {
    return { url: this.#url, key: DIFY_KEY };
  }

  /** Kills it; another one can be started on its folder. */
  async kill(): Promise<void> {
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }

  async upload(file: string): Promise<string> {
    const response = await this.#ask(
      "POST",
      "/v1/packages",
      await readFile(file),
      "application/octet-stream",
    );
    const { identifier } = JSON.parse(await response.text());
    return identifier;
  }

  /** Installs it for a new tenant. */
  async install(identifier: string): Promise<Installed> {
    const tenant = randomUUID();
    const began = Date.now();
    const accepted = await this.#ask(
      "POST",
      `/v1/tenants/${tenant}/installations`,
      JSON.stringify({ identifier }),
    );
    const { task, installation } = JSON.parse(await accepted.text());
    const times = await this.#follow(`/v1/tenants/${tenant}/tasks/${task.id}/events`);
    const [starting, end] = [times.get("starting"), times.get("end")];
    if (starting === undefined || end === undefined) throw new Error("the install has no step `starting`");
    return { tenant, installation: installation.id, totalMs: end - began, startMs: end - starting };
  }

  /** Resolves when the task of the uninstall has ended. */
  async uninstall({ tenant, installation }: Installed): Promise<void> {
    const accepted = await this.#ask("DELETE", `/v1/tenants/${tenant}/installations/${installation}`);
    const { task } = JSON.parse(await accepted.text());
    await this.#follow(`/v1/tenants/${tenant}/tasks/${task.id}/events`);
  }

  processes({ tenant }: Installed): Promise<ContainerProcesses> {
    return containerProcesses(`berth.tenant=${tenant}`);
  }

  container({ tenant }: Installed): Promise<string> {
    return output("docker", ["ps", "-q", "--filter", `label=berth.tenant=${tenant}`]);
  }

  /** The door, the number of callers, the duration. */
  async load(
    installed: Installed,
    { door, ...effort }: Effort & { door: "/v1" | "Dify" },
  ): Promise<BerthLoad> {
    const { runner, plugin } = await this.processes(installed);
    const pids = [this.pid, runner, plugin];
    const before = pids.map(cpuMicros);
    const { calls, ...times } = await load(this.#target(installed, door), effort);
    const [hostMicros = 0, runnerMicros = 0, pluginMicros = 0] = pids.map(
      (pid, i) => (cpuMicros(pid) - (before[i] ?? 0)) / calls,
    );
    return { ...times, hostMicros, runnerMicros, pluginMicros };
  }

  /** As `BarePlugin.firstEvents`, over a kept connection. */
  async firstEvents(installed: Installed, count: number): Promise<number[]> {
    const delays: number[] = [];
    for (let i = 0; i < count; i++) {
      const { status, text, firstEventMs } = await this.#call(installed);
      if (status !== 200 || firstEventMs === undefined) throw new Error(`a call failed: ${status} ${text}`);
      delays.push(firstEventMs);
    }
    return delays;
  }

  /** Kills the plugin and calls until one call is answered: the time from the kill to that answer, in ms. */
  async restart(installed: Installed): Promise<number> {
    const { plugin } = await this.processes(installed);
    const began = performance.now();
    process.kill(plugin, "SIGKILL");
    return await this.#untilAnswered(installed, began);
  }

  /** Waits until it is stopped as idle, then calls: the time from the call to its answer, in ms. */
  async wake(installed: Installed): Promise<number> {
    while ((await this.container(installed)) !== "") await delay(50);
    return await this.#untilAnswered(installed, performance.now());
  }

  /** Suspends the process of a plugin without calls: the time until another container answers, in ms. */
  async replaceHung(installed: Installed): Promise<number> {
    const { plugin } = await this.processes(installed);
    const [hung, began] = [await this.container(installed), performance.now()];
    process.kill(plugin, "SIGSTOP");
    // Without calls: a failed call would count as further evidence that the plugin hangs.
    for (
      let now = hung;
      now === hung || now === "" || now.includes("\n");
      now = await this.container(installed)
    )
      await delay(50);
    return await this.#untilAnswered(installed, began);
  }

  async #untilAnswered(installed: Installed, began: number): Promise<number> {
    const until = performance.now() + RESTART_MS_MAX;
    while (performance.now() < until) {
      const { status, text } = await this.#call(installed);
      if (status === 200 && text.includes("event: end")) return performance.now() - began;
      await delay(5);
    }
    throw new Error(`no call was answered for ${RESTART_MS_MAX} ms`);
  }

  /** Failed calls in the log, without those that a load generator cut off at its end. */
  async failures(): Promise<string[]> {
    const found: string[] = [];
    for await (const line of createInterface(createReadStream(this.#logFile))) {
      if (!line.includes('"op":"invocation.invoke","ok":false')) continue;
      if (!line.includes('"code":"cancelled"')) found.push(line);
    }
    return found;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#agent.destroy();
    if (this.isRunning) {
      const ended = once(this.#child, "exit");
      this.#child.kill("SIGTERM");
      await ended;
    }
    await removeAll(`berth.instance=${this.#instance}`);
  }

  #target(installed: Installed, door: "/v1" | "Dify"): Target {
    if (door === "Dify") return daemonTarget({ url: this.#url, key: DIFY_KEY, tenant: installed.tenant });
    return {
      url: this.#url + this.#path(installed),
      headers: { Authorization: `Bearer ${this.#key}` },
      body: JSON.stringify(INVOCATION),
    };
  }

  #path({ tenant }: Installed): string {
    return `/v1/tenants/${tenant}/plugins/berth/bench/invoke_tool`;
  }

  async #ask(
    method: string,
    path: string,
    body?: string | Buffer,
    type = "application/json",
  ): Promise<Response> {
    const response = await fetch(new URL(path, this.#url), {
      method,
      headers: { authorization: `Bearer ${this.#key}`, ...(body !== undefined && { "content-type": type }) },
      ...(body !== undefined && { body: typeof body === "string" ? body : new Uint8Array(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
    return response;
  }

  /** When each step of the task began, and when the task ended; throws where it did not end `ready`. */
  async #follow(path: string): Promise<Map<string, number>> {
    const times = new Map<string, number>();
    for await (const { name, data } of readEvents(await this.#ask("GET", path))) {
      const at = Date.parse(String(Reflect.get(Object(data), "at")));
      if (name === "step") times.set(String(Reflect.get(Object(data), "step")), at);
      if (name !== "end") continue;
      times.set("end", at);
      if (Reflect.get(Object(data), "state") !== "ready")
        throw new Error(`the task failed: ${JSON.stringify(data)}`);
    }
    return times;
  }

  #call(installed: Installed): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const headers = { authorization: `Bearer ${this.#key}`, "content-type": "application/json" };
    const options = { method: "POST", agent: this.#agent, headers };
    const sent = httpRequest(new URL(this.#path(installed), this.#url), options, (response) => {
      let text = "";
      let firstEventMs: number | undefined;
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
        if (text.includes("event: item")) firstEventMs ??= sinceMade(text);
      });
      response.on("end", () => resolve({ status: response.statusCode ?? 0, text, firstEventMs }));
      response.on("error", reject);
    });
    sent.on("error", reject);
    sent.end(JSON.stringify(INVOCATION));
    return promise;
  }
}

/** The defaults, and what builds need on this machine: trusted authorities and the package index. */
function environment(): Record<string, string> {
  const { BERTH_CA_BUNDLE, SSL_CERT_FILE, BERTH_PACKAGE_INDEX_URL, BERTH_ENGINE_SOCKET, ...rest } =
    process.env;
  const kept = Object.entries(rest).filter(
    ([name]) => !name.startsWith("BERTH_") && name !== "DATABASE_URL" && name !== "REDIS_URL",
  );
  const set = {
    BERTH_CA_BUNDLE: BERTH_CA_BUNDLE ?? SSL_CERT_FILE,
    BERTH_PACKAGE_INDEX_URL,
    BERTH_ENGINE_SOCKET,
  };
  return Object.fromEntries(
    [...kept, ...Object.entries(set)].flatMap(([name, value]) =>
      value === undefined ? [] : [[name, value]],
    ),
  );
}

/** The first line of the log with this `op`; rejects when the process ends before it. */
async function firstLog(child: ChildProcess, file: string, op: string): Promise<Record<string, unknown>> {
  const began = performance.now();
  while (performance.now() - began < START_MS_MAX) {
    const text = await readFile(file, "utf8");
    const line = text.split("\n").find((one) => one.includes(`"op":"${op}"`) && one.endsWith("}"));
    if (line !== undefined) return JSON.parse(line);
    if (child.exitCode !== null) throw new Error(`Berth ended with ${child.exitCode}: ${text.slice(-2000)}`);
    await delay(5);
  }
  child.kill("SIGKILL");
  throw new Error(`Berth did not log ${op} within ${START_MS_MAX} ms`);
}

/** Removes everything that one Berth has left on the engine. An image goes only after those built on it. */
async function removeAll(label: string): Promise<void> {
  const list = async (args: string[]) =>
    (await output("docker", [...args, "--filter", `label=${label}`]))
      .split("\n")
      .filter((line) => line !== "");
  for (const id of await list(["ps", "-aq"])) await output("docker", ["rm", "-f", id]);
  for (const kind of ["/plugin:", "/deps:"]) {
    const tags = await list(["images", "--format", "{{.Repository}}:{{.Tag}}"]);
    for (const tag of tags.filter((one) => one.includes(kind))) await output("docker", ["rmi", tag]);
  }
  for (const id of await list(["network", "ls", "-q"])) await output("docker", ["network", "rm", id]);
  for (const id of await list(["volume", "ls", "-q"])) await output("docker", ["volume", "rm", id]);
}
