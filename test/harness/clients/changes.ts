/** Changes of installations, as a user of the HTTP API requests them. */
import type { BerthDoor } from "../rigs/berth.ts";
import {
  type AcceptedInstall,
  follow,
  type InstallationJson,
  type PackedPlugin,
  packPlugin,
  type TaskEventJson,
  type TaskJson,
} from "./client.ts";

export type Verb = "upgrade" | "rollback" | "restart" | "enable" | "disable";

interface AcceptedJson {
  readonly installation: InstallationJson & { readonly desired: string };
  readonly task: TaskJson & { readonly kind: string; readonly applied?: unknown };
  readonly created: boolean;
}

export function pathOf({ tenant, installationId }: AcceptedInstall): string {
  return `/v1/tenants/${tenant}/installations/${installationId}`;
}

/** The echo plugin in that version: each of its answers ends with the version. */
export function packEcho(
  version: string,
  edits: Readonly<Record<string, (text: string) => string>> = {},
): Promise<PackedPlugin> {
  return packPlugin("echo", {
    ...edits,
    "manifest.yaml": (text) =>
      (edits["manifest.yaml"] ?? same)(text.replace(/^version: .*/m, `version: ${version}`)),
    "main.py": (text) =>
      (edits["main.py"] ?? same)(
        text.replace('str(ask.get("text", "hello"))', `str(ask.get("text", "hello")) + " ${version}"`),
      ),
  });
}

function same(text: string): string {
  return text;
}

export async function acceptChange(
  berth: BerthDoor,
  installed: AcceptedInstall,
  verb: Verb,
  body?: object,
): Promise<AcceptedJson> {
  const path = `${pathOf(installed)}/${verb}`;
  return await berth.json(202, "POST", path, body === undefined ? {} : { body });
}

export async function acceptLimits(
  berth: BerthDoor,
  installed: AcceptedInstall,
  limits: object,
): Promise<AcceptedJson> {
  return await berth.json(202, "PATCH", pathOf(installed), { body: { limits } });
}

/** The events of the change up to its end. */
export async function followChange(
  berth: BerthDoor,
  { tenant }: AcceptedInstall,
  { task }: AcceptedJson,
): Promise<readonly TaskEventJson[]> {
  return await follow(berth, { tenant, taskId: task.id });
}

/** Requests the change and waits for its end; throws unless that is `ready`. */
export async function change(
  berth: BerthDoor,
  installed: AcceptedInstall,
  verb: Verb,
  body?: object,
): Promise<readonly TaskEventJson[]> {
  return await ready(berth, installed, await acceptChange(berth, installed, verb, body));
}

export async function changeLimits(
  berth: BerthDoor,
  installed: AcceptedInstall,
  limits: object,
): Promise<readonly TaskEventJson[]> {
  return await ready(berth, installed, await acceptLimits(berth, installed, limits));
}

async function ready(
  berth: BerthDoor,
  installed: AcceptedInstall,
  accepted: AcceptedJson,
): Promise<readonly TaskEventJson[]> {
  const events = await followChange(berth, installed, accepted);
  const end = events.at(-1);
  if (end?.state !== "ready") throw new Error(`the ${accepted.task.kind} ended with ${JSON.stringify(end)}`);
  return events;
}
