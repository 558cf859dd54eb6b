/** The requests that several commands make, with their answers parsed. */
import { readFile } from "node:fs/promises";
import { z } from "zod";
import type { Client } from "./client.ts";
import type { ServerEvent } from "./event-stream.ts";

const Uploaded = z.object({ identifier: z.string(), plugin_id: z.string() });
const Accepted = z.object({
  task: z.object({ id: z.string() }),
  installation: z.object({ id: z.string() }),
  created: z.boolean(),
});
const TaskEvent = z.object({
  at: z.string(),
  step: z.string().optional(),
  state: z.string().optional(),
  message: z.string().optional(),
  cause: z.object({ code: z.string(), message: z.string() }).optional(),
});

export interface TaskProgress extends z.infer<typeof TaskEvent> {
  /** `step`, `progress`, `warning` or `end`. */
  readonly name: string;
}

/** An accepted install: its task, the installation, and whether the request made it. */
export type AcceptedInstall = z.infer<typeof Accepted>;

/** Uploads a package's file; `isNew` is false where the package was stored before. */
export async function uploadPackage(
  client: Client,
  file: string,
): Promise<{ readonly identifier: string; readonly pluginId: string; readonly isNew: boolean }> {
  const body = new Uint8Array(await readFile(file));
  const response = await client.send("POST", "/v1/packages", { body, type: "application/octet-stream" });
  const { identifier, plugin_id: pluginId } = Uploaded.parse(await response.json());
  return { identifier, pluginId, isNew: response.status !== 200 };
}

/** Resolves when the install is accepted; `followTask` has its end. */
export async function acceptInstall(
  client: Client,
  tenant: string,
  identifier: string,
): Promise<AcceptedInstall> {
  return Accepted.parse(await client.ask("POST", `/v1/tenants/${tenant}/installations`, { identifier }));
}

/** Each event of the task; the last one is its end. Throws where the stream ends before. */
export async function* followTask(
  client: Client,
  tenant: string,
  taskId: string,
): AsyncGenerator<TaskProgress> {
  const path = `/v1/tenants/${tenant}/tasks/${taskId}/events`;
  for await (const { name, data } of client.events("GET", path)) {
    yield { name, ...TaskEvent.parse(data) };
    if (name === "end") return;
  }
  throw new Error("the stream of the task's events ended early");
}

/** The events of a call of a tool; the last one is `end` or `error`. */
export async function* invokeTool(
  client: Client,
  { tenant, pluginId }: { readonly tenant: string; readonly pluginId: string },
  invocation: object,
): AsyncGenerator<ServerEvent> {
  yield* client.events("POST", `/v1/tenants/${tenant}/plugins/${pluginId}/invoke_tool`, invocation);
}
