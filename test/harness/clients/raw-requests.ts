/** Requests written byte by byte to a door, and what is answered on their connection. */
import { onTestFinished } from "vitest";
import { type Door, type DoorOptions, openDoor } from "../rigs/door.ts";
import { ADMIN_KEY, TENANT } from "../samples/callers.ts";
import { RawClient } from "./raw-client.ts";

export const AUTH = `Authorization: Bearer ${ADMIN_KEY}\r\n`;

const JSON_TYPE = "Content-Type: application/json\r\n";

export const LIST = `/v1/tenants/${TENANT}/installations`;

const INVOKE = `/v1/tenants/${TENANT}/plugins/berth/echo/invoke_tool`;

export const CALL = JSON.stringify({
  user_id: "u",
  provider: "echo",
  tool_name: "say",
  tool_parameters: { n: 1 },
});

export const END = "Connection: close\r\n";

export const GET = (path: string, more = "") => `GET ${path} HTTP/1.1\r\nHost: d\r\n${more}${END}\r\n`;

export const POST = (more: string, body: string, path = INVOKE) =>
  `POST ${path} HTTP/1.1\r\nHost: d\r\n${AUTH}${JSON_TYPE}Accept: application/json\r\n${more}\r\n${body}`;

/** What an attacker wants to be read as a request. */
export const SMUGGLED = `GET /v1/keys HTTP/1.1\r\nHost: d\r\n${AUTH}\r\n`;

export const chunked = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n0\r\n\r\n`;

export async function openRawDoor(options: DoorOptions = {}): Promise<Door & { port: number }> {
  const door = await openDoor(options);
  onTestFinished(() => door[Symbol.asyncDispose]());
  const { url } = await door.listen();
  return Object.assign(door, { port: Number(new URL(url).port) });
}

export async function heard(bytes: string, options: DoorOptions = {}) {
  const door = await openRawDoor(options);
  const answers = await new RawClient(door.port).say(bytes).end();
  return { door, answers };
}

export const served = (door: Door, path: string) =>
  door.logged.filter((line) => line["op"] === "http.request" && line["path"] === path);
