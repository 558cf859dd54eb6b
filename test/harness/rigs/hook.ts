/** A door whose plugin has an endpoint, called over a socket. */

import { request } from "node:http";
import { text } from "node:stream/consumers";
import { onTestFinished } from "vitest";
import { EndpointId } from "../../../src/domain/endpoint.ts";
import type { EndpointRecord } from "../../../src/store/contracts/endpoints.ts";
import type { FakeSession } from "../doubles/fake-runtime.ts";
import { TENANT } from "../samples/callers.ts";
import { type Door, type DoorOptions, openDoor } from "./door.ts";

export const HOOK = "abcdefgh12345678";
export const ENDPOINT = EndpointId.parse("7f1a1c1e-0000-4000-8000-000000000001");

export interface HookDoor extends Door {
  readonly port: number;
}

/** With one endpoint, behind `/e/<HOOK>/`. */
export async function openHookDoor(
  options: DoorOptions = {},
  changes: Partial<EndpointRecord> = {},
): Promise<HookDoor> {
  const endpoint = { settings: [{ name: "greeting", type: "text-input" }], endpoints: [] };
  const door = await openDoor({ script: sayHello, declaration: { endpoint }, ...options });
  onTestFinished(() => door[Symbol.asyncDispose]());
  door.memory.endpoints.push({
    id: ENDPOINT,
    hookId: HOOK,
    tenantId: TENANT,
    pluginId: "berth/echo",
    userId: "u",
    name: "a hook",
    enabled: true,
    settings: { greeting: "hi" },
    revision: "1",
    createdAt: new Date(0),
    updatedAt: new Date(0),
    ...changes,
  });
  const { url } = await door.listen();
  return Object.assign(door, { port: Number(new URL(url).port) });
}

export const hex = (bytes: string | Buffer): string => Buffer.from(bytes).toString("hex");

export function sayHello(session: FakeSession): void {
  session.item({ status: 200, headers: { "Content-Type": "text/plain" }, result: hex("hello") });
  session.end();
}

export interface HookAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly body: string;
}

export interface HookRequest {
  readonly port: number;
  readonly path?: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | Buffer;
}

/** Rejects where the answer breaks off. */
export async function callHook({
  port,
  path = `/e/${HOOK}/`,
  method = "GET",
  headers = {},
  body,
}: HookRequest): Promise<HookAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<HookAnswer>();
  const sent = request({ port, host: "127.0.0.1", path, method, headers, agent: false }, (response) => {
    const { statusCode: status = 0 } = response;
    text(response).then((body) => resolve({ status, headers: response.headers, body }), reject);
  });
  sent.once("error", reject);
  sent.end(body);
  return await promise;
}

/** The daemon's envelope of an error, decoded. */
export function errorOf({ status, body }: Pick<HookAnswer, "status" | "body">) {
  const { code, message, data } = JSON.parse(body);
  const { error_type, message: inner, args } = JSON.parse(message);
  return { status, code, type: error_type, message: inner, args, data };
}
