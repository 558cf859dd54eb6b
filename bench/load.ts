/** The load on a server: `wrk`, each caller with one call after another on its own connection. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { INVOCATION } from "./call.ts";

const SCRIPT = join(import.meta.dirname, "load.lua");

export type Load = Readonly<Record<"p50" | "p99" | "perSecond" | "pluginMicros", number>>;
export type HostLoad = Readonly<Record<"p50" | "p99" | "perSecond", number>>;
export type BerthLoad = Load & Readonly<Record<"hostMicros" | "runnerMicros", number>>;

/** One operation of a door, as a caller sends it. */
export interface Target {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface Effort {
  readonly callers: number;
  readonly seconds: number;
}

/** A call of one tool, as callers of dify-plugin-daemon make it. */
export function daemonTarget(at: {
  readonly url: string;
  readonly key: string;
  readonly tenant: string;
}): Target {
  const { user_id, tool_name: tool, ...data } = INVOCATION;
  return {
    url: `${at.url}/plugin/${at.tenant}/dispatch/tool/invoke`,
    headers: { "X-Api-Key": at.key, "X-Plugin-ID": "berth/bench" },
    body: JSON.stringify({ user_id, data: { ...data, tool } }),
  };
}

/** Rejects where any call failed. Times are in ms. */
export async function load(
  target: Target,
  { callers, seconds }: Effort,
): Promise<HostLoad & { readonly calls: number }> {
  const headers = Object.entries(target.headers).map(([name, value]) => `${name}: ${value}\n`);
  const wrk = spawn(
    "wrk",
    ["-t", "1", "-c", String(callers), "-d", `${seconds}s`, "-s", SCRIPT, target.url],
    {
      env: { ...process.env, BENCH_HEADERS: headers.join(""), BENCH_BODY: target.body },
      stdio: ["ignore", "pipe", "inherit"],
    },
  );
  let text = "";
  wrk.stdout.setEncoding("utf8").on("data", (part: string) => {
    text += part;
  });
  await once(wrk, "close");
  const line = /^RESULT (.*)$/m.exec(text)?.[1];
  if (line === undefined) throw new Error(`wrk failed: ${text}`);
  const { calls, micros, p50, p99, failed } = JSON.parse(line);
  if (failed > 0 || calls === 0) throw new Error(`${failed} of ${calls} calls failed: ${text}`);
  return { calls, p50: p50 / 1000, p99: p99 / 1000, perSecond: (calls * 1e6) / micros };
}
