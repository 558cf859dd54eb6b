/** The real runner with the echo plugin, and a host that reads and writes its lines as they are. */
import { rm } from "node:fs/promises";
import { expect, onTestFinished } from "vitest";
import { listenRaw } from "../servers/raw-host.ts";
import { makeRunFolder, requestLine, startRunner } from "./runner-process.ts";

/** Ended and removed with the test. */
export async function startEcho(args: readonly string[] = []) {
  const folder = await makeRunFolder();
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const listening = listenRaw(folder, "raw");
  const runner = await startRunner({ plugin: "echo", folder, args });
  onTestFinished(() => runner[Symbol.asyncDispose]() as Promise<void>);
  const host = await listening;
  onTestFinished(() => host[Symbol.asyncDispose]() as Promise<void>);
  let pings = 0;
  const ask = (id: string, parameters: Record<string, unknown>, requestId?: string) =>
    host.data.write(`${requestLine(id, parameters, requestId)}\n`);
  const linesOf = (id: string) => host.dataLines().filter((line) => line.includes(`"session_id":"${id}"`));
  return {
    host,
    runner,
    ask,
    linesOf,
    /** Resolves when the session's `end` came. */
    ended: (id: string) =>
      expect
        .poll(() => linesOf(id).at(-1) ?? runner.stderr(), { timeout: 60_000, interval: 20 })
        .toContain('"type":"end"'),
    pong: async (): Promise<Record<string, unknown>> => {
      const id = ++pings;
      host.control.write(`{"op":"ping","id":${id}}\n`);
      const find = () => host.controlLines().find((line) => line.includes(`"op":"pong","id":${id},`));
      await expect.poll(find, { timeout: 30_000, interval: 20 }).toBeDefined();
      return JSON.parse(find() ?? "{}");
    },
  };
}
