/** `berth dev` as its users run it: a process of its own, whose lines are read as they come. */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { readEvents } from "../../../src/cli/event-stream.ts";
import { BERTH_MAIN, inherited } from "../rigs/berth.ts";

/** On a machine whose processors are all taken. */
const WAIT_MS_MAX = 80_000;

export class DevCommand {
  readonly output: string[] = [];
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;
  readonly #ended: Promise<number | null>;
  #heard = Promise.withResolvers<void>();

  constructor(folder: string, env: Readonly<Record<string, string>>, options: readonly string[] = []) {
    this.#child = spawn(process.execPath, [BERTH_MAIN, "dev", folder, ...options], {
      env: { ...inherited(), ...env },
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

  /** Ends it with the signal; resolves with its exit code. */
  async stop(signal: NodeJS.Signals): Promise<number | null> {
    this.#child.kill(signal);
    return await this.#ended;
  }
}

/** Where the line to try sends its request. */
export async function readCall(line: string) {
  const [, url = "", keyFile = ""] = /^curl -sSN (\S+) .*\$\(cat (\S+)\)/.exec(line) ?? [];
  const body = JSON.parse(/-d '(.*)'$/.exec(line)?.[1] ?? "");
  return { url, body, key: (await readFile(keyFile, "utf8")).trim() };
}

/** The events of the call to try, as JSON. */
export async function callTried(line: string, parameters: object = {}): Promise<string> {
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

/** One that nobody has asked for its end yet is dead, too. */
async function isAlive(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "State:\tX");
  return !/^State:\t[ZX]/m.test(status);
}

/** Those of the processes that have not ended. */
export async function living(pids: readonly number[]): Promise<readonly number[]> {
  const alive = await Promise.all(pids.map(isAlive));
  return pids.filter((_, index) => alive[index]);
}
