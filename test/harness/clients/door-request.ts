/** A request to the HTTP server, made without a network. */
import { ADMIN_KEY } from "../samples/callers.ts";

export interface AskOptions {
  readonly key?: string | undefined;
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

/** A string as body is sent as it is, anything else as JSON; `key: ""` sends no key. */
export function request(
  url: string,
  method: string,
  { key = ADMIN_KEY, body, headers }: AskOptions = {},
): Request {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return new Request(url, {
    method,
    headers: {
      ...(key !== "" && { authorization: `Bearer ${key}` }),
      ...(body !== undefined && { "content-type": "application/json" }),
      ...headers,
    },
    ...(body !== undefined && { body: text }),
  });
}
