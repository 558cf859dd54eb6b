/** The four ways in which a caller reads a plugin's answer, over real sockets, and how each one ends. */

import type { Door } from "../rigs/door.ts";
import { callHook, HOOK, type HookDoor } from "../rigs/hook.ts";
import { TENANT } from "../samples/callers.ts";
import { dispatch } from "./dify.ts";
import { request } from "./door-request.ts";
import { parseEvents } from "./parse-events.ts";

export interface HeardEnd {
  /** Everything that came, the terminal event included. */
  readonly text: string;
  /** Terminal events: an end, an error, a document, or a connection that broke off. */
  readonly ends: number;
}

export type CallerKind = "v1 events" | "v1 document" | "dify" | "hook";
export const CALLERS: readonly CallerKind[] = ["v1 events", "v1 document", "dify", "hook"];

/** `userId` reaches the plugin where the route takes one. */
export async function callAs(kind: CallerKind, door: HookDoor, userId = "u"): Promise<HeardEnd> {
  if (kind === "hook") return await viaHook(door);
  if (kind === "dify") return await viaDify(door, userId);
  const answer = await askV1(door, kind === "v1 events" ? "text/event-stream" : "application/json", userId);
  const text = await answer.text();
  const isDocument = answer.headers.get("content-type")?.startsWith("application/json") === true;
  if (isDocument) JSON.parse(text);
  return { text, ends: isDocument ? 1 : parseEvents(text).filter(({ event }) => event !== "item").length };
}

async function askV1(door: Door, accept: string, userId: string): Promise<Response> {
  const { url } = await door.listen();
  const body = { user_id: userId, provider: "echo", tool_name: "say", tool_parameters: {} };
  const path = `/v1/tenants/${TENANT}/plugins/berth/echo/invoke_tool`;
  return await fetch(request(`${url}${path}`, "POST", { body, headers: { accept } }));
}

/** Its stream has no end event; the end of the response is the end. */
async function viaDify(door: Door, userId: string): Promise<HeardEnd> {
  const data = { provider: "echo", tool: "say", tool_parameters: {} };
  const text = await (await dispatch(door, "tool/invoke", { user_id: userId, data })).text();
  const events = text.split("\n\n").filter((event) => event !== "");
  const errors = events.filter(
    (event) => (JSON.parse(event.replace("data: ", "")) as { code: number }).code !== 0,
  );
  return { text, ends: Math.max(1, errors.length) };
}

async function viaHook({ port }: HookDoor): Promise<HeardEnd> {
  return await callHook({ port, path: `/e/${HOOK}/` }).then(
    ({ body }) => ({ text: body, ends: 1 }),
    (error: Error) => ({ text: error.message, ends: 1 }),
  );
}
