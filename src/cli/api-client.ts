/** Requests to the HTTP API of a Berth, as its commands make them. */
import { readFile } from "node:fs/promises";
import { z } from "zod";
import { readEvents, type ServerEvent } from "./event-stream.ts";

/** Where the API is served, and the operator's key. */
export interface ApiAccess {
  readonly url: string;
  readonly adminKey: string | undefined;
}

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

/** Throws an error with the method, the path, the status and the text of an answer other than 2xx. */
export async function request(
  api: ApiAccess,
  method: string,
  path: string,
  body?: Buffer | object,
): Promise<Response> {
  const bytes = Buffer.isBuffer(body);
  const response = await fetch(new URL(path, api.url), {
    method,
    headers: {
      authorization: `Bearer ${api.adminKey}`,
      ...(body !== undefined && { "content-type": bytes ? "application/octet-stream" : "application/json" }),
    },
    ...(body !== undefined && { body: bytes ? new Uint8Array(body) : JSON.stringify(body) }),
  });
  if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`);
  return response;
}

/** Uploads a package's file; `isNew` is false where the package was stored before. */
export async function uploadPackage(
  api: ApiAccess,
  file: string,
): Promise<{ readonly identifier: string; readonly pluginId: string; readonly isNew: boolean }> {
  const response = await request(api, "POST", "/v1/packages", await readFile(file));
  const { identifier, plugin_id: pluginId } = Uploaded.parse(await response.json());
  return { identifier, pluginId, isNew: response.status !== 200 };
}

/** Resolves when the install is accepted; `followTask` has its end. */
export async function acceptInstall(
  api: ApiAccess,
  tenant: string,
  identifier: string,
): Promise<AcceptedInstall> {
  const response = await request(api, "POST", `/v1/tenants/${tenant}/installations`, { identifier });
  return Accepted.parse(await response.json());
}

/** Each event of the task; the last one is its end. Throws where the stream ends before. */
export async function* followTask(
  api: ApiAccess,
  tenant: string,
  taskId: string,
): AsyncGenerator<TaskProgress> {
  const response = await request(api, "GET", `/v1/tenants/${tenant}/tasks/${taskId}/events`);
  for await (const { name, data } of readEvents(response)) {
    yield { name, ...TaskEvent.parse(data) };
    if (name === "end") return;
  }
  throw new Error("the stream of the task's events ended early");
}

/** The events of a call of a tool; the last one is `end` or `error`. */
export async function* invokeTool(
  api: ApiAccess,
  { tenant, pluginId }: { readonly tenant: string; readonly pluginId: string },
  invocation: object,
): AsyncGenerator<ServerEvent> {
  yield* readEvents(
    await request(api, "POST", `/v1/tenants/${tenant}/plugins/${pluginId}/invoke_tool`, invocation),
  );
}
