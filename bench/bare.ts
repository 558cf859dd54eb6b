/**
 * The plugin without Berth: the image's own files, interpreter and environment, started with `chroot` and used
 * over its stdin and stdout. No limits, no network of its own, no other process in between.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import type { Readable, Writable } from "node:stream";
import { INVOCATION, sinceMade } from "./call.ts";
import type { Load } from "./load.ts";
import { cpuMicros, output } from "./processes.ts";
import { quantile } from "./statistics.ts";

const SESSION = /"session_id"\s*:\s*"([^"]*)"\s*,\s*"data"\s*:\s*\{\s*"type"\s*:\s*"(\w+)"/;
const START_MS_MAX = 30_000;

export interface BareImage {
  readonly root: string;
  /** `NAME=value`, what the container has. */
  readonly env: readonly string[];
}

/** Unpacks the image of the running container below the folder. */
export async function unpackImage(container: string, root: string): Promise<BareImage> {
  const inspect = (format: string) => output("docker", ["inspect", "-f", format, container]);
  // A name without a value is a variable that the container must not have.
  const env = (await inspect("{{range .Config.Env}}{{println .}}{{end}}"))
    .split("\n")
    .filter((line) => line.includes("="));
  const copy = await output("docker", ["create", await inspect("{{.Image}}"), "true"]);
  try {
    await mkdir(root);
    await output("sh", ["-c", 'docker export "$0" | tar -x -C "$1" --exclude="dev/*"', copy, root]);
    // The SDK opens /dev/urandom and /dev/null.
    await output("sh", ["-c", 'mknod -m 666 "$0/dev/null" c 1 3; mknod -m 666 "$0/dev/urandom" c 1 9', root]);
  } finally {
    await output("docker", ["rm", "-f", copy]);
  }
  return { root, env };
}

export class BarePlugin implements AsyncDisposable {
  readonly startMs: number;
  readonly #child: ChildProcessByStdio<Writable, Readable, null>;
  #onLine: (session: string, type: string, line: string) => void = () => undefined;
  #rest = "";
  #calls = 0;

  private constructor(child: ChildProcessByStdio<Writable, Readable, null>, startMs: number) {
    this.#child = child;
    this.startMs = startMs;
    child.stdout.on("data", (text: string) => this.#onText(text));
  }

  /** Resolves with its first heartbeat, which is when Berth counts it as ready. */
  static async start({ root, env }: BareImage): Promise<BarePlugin> {
    const began = performance.now();
    const command = ["/bin/sh", "-c", "cd /plugin && exec /opt/venv/bin/python -m main"];
    const child = spawn("chroot", [root, "/usr/bin/env", "-i", ...env, ...command], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    child.stdout.setEncoding("latin1");
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timer = setTimeout(() => reject(new Error(`no heartbeat in ${START_MS_MAX} ms`)), START_MS_MAX);
    const onText = (text: string) => text.includes('"heartbeat"') && resolve();
    child.stdout.on("data", onText);
    child.once("exit", (code) => reject(new Error(`the bare plugin ended with ${code}`)));
    child.once("error", reject);
    try {
      await promise;
    } catch (error) {
      child.kill("SIGKILL");
      throw error;
    } finally {
      clearTimeout(timer);
      child.stdout.off("data", onText);
    }
    return new BarePlugin(child, performance.now() - began);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Keeps this many calls in flight for this long. */
  async load(callers: number, seconds: number): Promise<Load> {
    const startedAt = new Map<string, number>();
    const latencies: number[] = [];
    const { promise, resolve } = Promise.withResolvers<void>();
    const cpu = cpuMicros(this.pid);
    const began = performance.now();
    const until = began + seconds * 1000;
    const begin = () => {
      const { id, line } = this.#request();
      startedAt.set(id, performance.now());
      this.#child.stdin.write(line);
    };
    this.#onLine = (session, type, line) => {
      if (type === "error") throw new Error(`the bare plugin failed: ${line}`);
      if (type !== "end") return;
      const now = performance.now();
      latencies.push(now - (startedAt.get(session) ?? Number.NaN));
      startedAt.delete(session);
      if (now < until) begin();
      else if (startedAt.size === 0) resolve();
    };
    for (let i = 0; i < callers; i++) begin();
    await promise;
    const elapsed = (performance.now() - began) / 1000;
    return {
      p50: quantile(latencies, 0.5),
      p99: quantile(latencies, 0.99),
      perSecond: latencies.length / elapsed,
      pluginMicros: (cpuMicros(this.pid) - cpu) / latencies.length,
    };
  }

  /** One call after another: the time from the moment the plugin creates a message to its arrival, in ms. */
  async firstEvents(count: number): Promise<number[]> {
    const delays: number[] = [];
    for (let i = 0; i < count; i++) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#onLine = (_session, type, line) => {
        if (type === "stream") delays.push(sinceMade(line));
        if (type === "end") resolve();
      };
      this.#child.stdin.write(this.#request().line);
      await promise;
    }
    return delays;
  }

  #request(): { id: string; line: string } {
    const id = `00000000-0000-4000-8000-${String(++this.#calls).padStart(12, "0")}`;
    const data = { type: "tool", action: "invoke_tool", ...INVOCATION, tool: "now", tool_name: undefined };
    const ids = { conversation_id: null, message_id: null, app_id: null, endpoint_id: null, context: null };
    return { id, line: `${JSON.stringify({ session_id: id, ...ids, event: "request", data })}\n` };
  }

  #onText(text: string): void {
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      const [, session, type] = SESSION.exec(line) ?? [];
      if (session !== undefined && type !== undefined) this.#onLine(session, type, line);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }
}
