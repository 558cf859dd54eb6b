/** Calls of the plugin `berth/echo` over the network, as callers of `/v1` make them. */
import type { Door } from "../rigs/door.ts";
import { TENANT } from "../samples/callers.ts";
import { type AskOptions, request } from "./door-request.ts";

export const PLUGIN_PATH = `/v1/tenants/${TENANT}/plugins/berth/echo`;
export const TOOL_CALL = { user_id: "u", provider: "echo", tool_name: "say", tool_parameters: { n: 1 } };
/** Asks for one document in place of a stream. */
export const AS_DOCUMENT = { headers: { accept: "application/json" } };

export async function post(
  door: Door,
  path: string,
  body: unknown = TOOL_CALL,
  options: AskOptions = {},
): Promise<Response> {
  const { url } = await door.listen();
  return await fetch(request(`${url}${path}`, "POST", { body, ...options }));
}

export function invokeTool(
  door: Door,
  body: unknown = TOOL_CALL,
  options: AskOptions = {},
): Promise<Response> {
  return post(door, `${PLUGIN_PATH}/invoke_tool`, body, options);
}

export async function errorOf(answer: Response) {
  return (await answer.json()) as {
    error: { code: string; message: string; details: Record<string, unknown> };
  };
}
