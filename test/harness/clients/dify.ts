/** Requests as Dify sends them to its daemon, and the answers parsed. */

import type { Door } from "../rigs/door.ts";
import { DIFY_KEY, TENANT } from "../samples/callers.ts";

export interface PlatformRequest {
  readonly tenant?: string;
  readonly plugin?: string;
  readonly headers?: Record<string, string | undefined>;
  readonly method?: string;
  readonly signal?: AbortSignal;
}

/** Undefined headers are left out; a string is sent as it is, with the given content type. */
export async function ask(
  door: Door,
  path: string,
  body?: unknown,
  { headers = {}, method = "POST", signal }: PlatformRequest = {},
): Promise<Response> {
  const { url } = await door.listen();
  const all: Record<string, string | undefined> = {
    "x-api-key": DIFY_KEY,
    ...(body !== undefined && { "content-type": "application/json" }),
    ...headers,
  };
  const given = Object.entries(all).filter((pair): pair is [string, string] => pair[1] !== undefined);
  return await fetch(`${url}${path}`, {
    method,
    headers: given,
    redirect: "manual",
    ...(signal !== undefined && { signal }),
    ...(body !== undefined && { body: typeof body === "string" ? body : JSON.stringify(body) }),
  });
}

/** A call of the plugin that every door has. */
export function dispatch(
  door: Door,
  path: string,
  body?: unknown,
  { tenant = TENANT, plugin = "berth/echo", headers, ...rest }: PlatformRequest = {},
): Promise<Response> {
  return ask(door, `/plugin/${tenant}/dispatch/${path}`, body, {
    headers: { "x-plugin-id": plugin, ...headers },
    ...rest,
  });
}

export interface Told {
  readonly code: number;
  readonly type: string;
  readonly message: string;
}

export interface Envelope {
  readonly code: number;
  readonly message: string;
  readonly data: unknown;
}

/** An error's envelope, decoded the second time. */
export function toldBy({ code, message }: Envelope): Told {
  const inner = JSON.parse(message) as { message: string; error_type: string };
  return { code, type: inner.error_type, message: inner.message };
}

export async function refusalOf(answer: Response): Promise<Told & { readonly status: number }> {
  return { status: answer.status, ...toldBy((await answer.json()) as Envelope) };
}

/** Every line of a finished stream, split at everything that some client takes for the end of a line. */
export function eventsOf(text: string): Envelope[] {
  const lines = text.split(/[\n\r\u0085\u2028\u2029]/).filter((line) => line !== "");
  return lines.map((line) => {
    if (!line.startsWith("data: ")) throw new Error(`no event: ${line}`);
    return JSON.parse(line.slice("data: ".length)) as Envelope;
  });
}
