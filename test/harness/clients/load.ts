/** Calls at a steady rate, each on a connection of its own, and their results. */
import { request } from "node:http";
import { text } from "node:stream/consumers";
import { type ToolCall, toolRequest } from "./client.ts";

/** On the clock of `performance.now()`. */
export interface CallTime {
  readonly beganMs: number;
  readonly endedMs: number;
}

export interface Load {
  /** Calls that have ended, with or without success. */
  readonly done: number;
  /** The same calls in the order of their ends. */
  readonly times: readonly CallTime[];
  readonly failures: readonly string[];
  /** No new ones; resolves when all have ended. */
  stop(): Promise<void>;
}

/** Runs the given call at the given rate; a call throws when its answer is wrong. */
export function startLoadOf(call: () => Promise<void>, perSecond: number): Load {
  const failures: string[] = [];
  const open = new Set<Promise<void>>();
  const times: CallTime[] = [];
  const one = async (): Promise<void> => {
    const at = new Date().toISOString();
    const beganMs = performance.now();
    await call().catch((error: unknown) => void failures.push(`${at} ${error}`));
    times.push({ beganMs, endedMs: performance.now() });
  };
  const timer = setInterval(() => {
    const running: Promise<void> = one().finally(() => open.delete(running));
    open.add(running);
  }, 1000 / perSecond);
  return {
    get done() {
      return times.length;
    },
    times,
    failures,
    async stop() {
      clearInterval(timer);
      await Promise.all(open);
    },
  };
}

export interface LoadOptions {
  /** One after the other, in turn. */
  readonly urls: readonly string[];
  readonly key: string;
  readonly call: ToolCall;
  readonly perSecond: number;
  /** What the call must answer. */
  readonly expected: string;
}

export function startLoad({ urls, key, call, perSecond, expected }: LoadOptions): Load {
  let begun = 0;
  return startLoadOf(async () => {
    const url = urls[begun++ % urls.length] ?? "";
    const answer = await callOnce({ url, key, call }).catch((error: unknown) => {
      throw new Error(`${url}: ${error}`);
    });
    if (answer.status !== 200 || !answer.body.includes(expected))
      throw new Error(`${url}: ${answer.status} ${answer.body}`);
  }, perSecond);
}

async function callOnce({ url, key, call }: { url: string; key: string; call: ToolCall }) {
  const { path, body } = toolRequest(call);
  const headers = {
    authorization: `Bearer ${key}`,
    "content-type": "application/json",
    accept: "application/json",
  };
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; body: string }>();
  const sent = request(new URL(path, url), { method: "POST", headers, agent: false }, (response) => {
    text(response).then((answer) => resolve({ status: response.statusCode ?? 0, body: answer }), reject);
  });
  // more than one may come
  sent.on("error", reject);
  sent.end(JSON.stringify(body));
  return await promise;
}
