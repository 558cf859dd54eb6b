/** What a user of the HTTP API does, in the fewest words that a test can say it in. */
import { randomUUID } from "node:crypto";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ServerEvent } from "../../../src/cli/event-stream.ts";
import { packFolder } from "../../../src/packages/archive/pack.ts";
import type { BerthDoor, RequestOptions } from "../rigs/berth.ts";

const ROOT = join(import.meta.dirname, "../../..");
/** What the plugins of tests speak; a copy goes into each package. */
const PROTOCOL = join(ROOT, "test/plugins/berth_protocol.py");

export interface ErrorJson {
  readonly code: string;
  readonly message: string;
  readonly details?: Readonly<Record<string, unknown>>;
}

export interface TaskJson {
  readonly id: string;
  readonly state: string;
  readonly attempt: number;
  readonly cause: ErrorJson | null;
}

export interface InstallationJson {
  readonly id: string;
  readonly state: string;
  readonly identifier: string;
  readonly cause: ErrorJson | null;
  readonly warnings: readonly string[];
  readonly limits_granted: Readonly<Record<string, number>>;
}

export interface TaskEventJson {
  readonly type: string;
  readonly seq: number;
  readonly at: string;
  readonly step?: string;
  readonly state?: string;
  readonly message?: string;
  readonly cause?: ErrorJson;
}

export interface PackedPlugin {
  readonly identifier: string;
  /** `author/name` */
  readonly pluginId: string;
  readonly bytes: Buffer;
}

/** Packs `test/plugins/<name>` or `examples/<name>`; `edits` rewrite or add files of a copy first. */
export async function packPlugin(
  name: string,
  edits: Readonly<Record<string, string | ((text: string) => string)>> = {},
): Promise<PackedPlugin> {
  const folder = await mkdtemp(join(tmpdir(), "berth-pack-"));
  try {
    const source = join(ROOT, name.startsWith("examples/") ? name : `test/plugins/${name}`);
    const copy = join(folder, "plugin");
    await cp(source, copy, { recursive: true });
    if (!name.startsWith("examples/")) await cp(PROTOCOL, join(copy, "berth_protocol.py"));
    for (const [path, edit] of Object.entries(edits)) {
      const text = typeof edit === "string" ? edit : edit(await readFile(join(copy, path), "utf8"));
      await writeFile(join(copy, path), text);
    }
    const { identifier, output } = await packFolder({ folder: copy, output: join(folder, "p.difypkg") });
    return {
      identifier,
      pluginId: identifier.slice(0, identifier.indexOf(":")),
      bytes: await readFile(output),
    };
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** The same plugin as another package: another version, and so another checksum and another image. */
export function packVersion(name: string, version: string): Promise<PackedPlugin> {
  return packPlugin(name, {
    "manifest.yaml": (text) => text.replace(/^version: .*/m, `version: ${version}`),
  });
}

export function aTenant(): string {
  return randomUUID();
}

export async function upload(berth: BerthDoor, plugin: PackedPlugin): Promise<Record<string, unknown>> {
  return await berth.json(201, "POST", "/v1/packages", { body: plugin.bytes });
}

/** A request to install that was answered with 202. */
export interface AcceptedInstall {
  readonly tenant: string;
  readonly taskId: string;
  readonly installationId: string;
}

export async function accept(
  berth: BerthDoor,
  { identifier }: { readonly identifier: string },
  tenant = aTenant(),
): Promise<AcceptedInstall> {
  const answer = await berth.json<{ installation: { id: string }; task: { id: string } }>(
    202,
    "POST",
    `/v1/tenants/${tenant}/installations`,
    { body: { identifier } },
  );
  return { tenant, taskId: answer.task.id, installationId: answer.installation.id };
}

/** The events of a task up to its end. */
export async function follow(
  berth: BerthDoor,
  { tenant, taskId }: Pick<AcceptedInstall, "tenant" | "taskId">,
): Promise<readonly TaskEventJson[]> {
  const events: TaskEventJson[] = [];
  for await (const { data } of berth.events(`/v1/tenants/${tenant}/tasks/${taskId}/events`)) {
    events.push(data as TaskEventJson);
  }
  return events;
}

/** Uploads and installs; throws where the task ends otherwise than `ready`. */
export async function install(
  berth: BerthDoor,
  plugin: PackedPlugin,
  tenant = aTenant(),
): Promise<AcceptedInstall> {
  await berth.request("POST", "/v1/packages", { body: plugin.bytes });
  const accepted = await accept(berth, plugin, tenant);
  const end = (await follow(berth, accepted)).at(-1);
  if (end?.state !== "ready") throw new Error(`the install ended with ${JSON.stringify(end)}`);
  return accepted;
}

/** Uploads and installs what cannot be installed; resolves with the cause of the failed task. */
export async function failInstall(
  berth: BerthDoor,
  plugin: PackedPlugin,
  tenant = aTenant(),
): Promise<AcceptedInstall & { readonly cause: ErrorJson; readonly events: readonly TaskEventJson[] }> {
  await berth.request("POST", "/v1/packages", { body: plugin.bytes });
  const accepted = await accept(berth, plugin, tenant);
  const events = await follow(berth, accepted);
  const end = events.at(-1);
  if (end?.state !== "failed" || end.cause === undefined) {
    throw new Error(`the install ended with ${JSON.stringify(end)}`);
  }
  return { ...accepted, cause: end.cause, events };
}

export async function getInstallation(
  berth: BerthDoor,
  { tenant, installationId }: AcceptedInstall,
): Promise<InstallationJson> {
  return await berth.json(200, "GET", `/v1/tenants/${tenant}/installations/${installationId}`);
}

export interface RuntimeJson {
  readonly id: string;
  readonly state: string;
  readonly started_at: string;
  readonly ended_at: string | null;
  readonly end: {
    readonly cause: string;
    readonly message: string;
    readonly exit_code: number | null;
    readonly action: { readonly kind: string; readonly delay_ms: number | null } | null;
    readonly logs: readonly string[];
  } | null;
}

/** The containers that have run an installation, the newest first. */
export async function historyOf(
  berth: BerthDoor,
  { tenant, installationId }: AcceptedInstall,
): Promise<readonly RuntimeJson[]> {
  const path = `/v1/tenants/${tenant}/installations/${installationId}/runtimes`;
  return (await berth.json<{ items: readonly RuntimeJson[] }>(200, "GET", path)).items;
}

/** Accepts an uninstall and waits for its end. */
export async function uninstall(
  berth: BerthDoor,
  { tenant, installationId }: AcceptedInstall,
): Promise<void> {
  const path = `/v1/tenants/${tenant}/installations/${installationId}`;
  const { task } = await berth.json<{ task: TaskJson }>(202, "DELETE", path);
  const end = (await follow(berth, { tenant, taskId: task.id })).at(-1);
  if (end?.state !== "ready") throw new Error(`the uninstall ended with ${JSON.stringify(end)}`);
}

/** What is said to a test plugin, whose one tool and provider carry known names. */
export interface ToolCall {
  readonly tenant: string;
  /** `author/name` */
  readonly pluginId: string;
  readonly tool: string;
  readonly parameters?: Readonly<Record<string, unknown>>;
}

export function toolRequest({ tenant, pluginId, tool, parameters }: ToolCall): {
  path: string;
  body: object;
} {
  const provider = pluginId.slice(pluginId.indexOf("/") + 1);
  return {
    path: `/v1/tenants/${tenant}/plugins/${pluginId}/invoke_tool`,
    body: { user_id: "u", provider, tool_name: tool, credentials: {}, tool_parameters: parameters ?? {} },
  };
}

/** A tool's answer as it streams in. */
export function streamTool(berth: BerthDoor, call: ToolCall, options: RequestOptions = {}) {
  const { path, body } = toolRequest(call);
  return berth.events(path, { ...options, method: "POST", body });
}

/** A tool's whole answer as events; the last one is `end` or `error`. */
export async function callTool(berth: BerthDoor, call: ToolCall): Promise<readonly ServerEvent[]> {
  return await Array.fromAsync(streamTool(berth, call));
}

/** A tool's answer as one document, with whatever status. */
export async function askTool(berth: BerthDoor, call: ToolCall): Promise<Response> {
  const { path, body } = toolRequest(call);
  return await berth.request("POST", path, { body, headers: { accept: "application/json" } });
}

/** The texts in a tool's answer, in order. Throws where it did not end well. */
export async function toolTexts(berth: BerthDoor, call: ToolCall): Promise<readonly unknown[]> {
  const events = await callTool(berth, call);
  const last = events.at(-1);
  if (last?.name !== "end") throw new Error(`the call ended with ${JSON.stringify(last)}`);
  return events.slice(0, -1).map(({ data }) => (data as { message: { text: unknown } }).message.text);
}

/** The `error` that a stream ended with. */
export function errorOf(events: readonly ServerEvent[]): ErrorJson {
  const last = events.at(-1);
  if (last?.name !== "error") throw new Error(`the call ended with ${JSON.stringify(last)}`);
  return (last.data as { error: ErrorJson }).error;
}

/** Looks again until what is seen is defined; throws with what was seen last when it takes too long. */
export async function eventually<T>(look: () => Promise<T | undefined>, timeoutMs = 60_000): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const seen = await look();
    if (seen !== undefined) return seen;
    if (Date.now() > deadline) throw new Error(`nothing came of it within ${timeoutMs} ms: ${look}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
