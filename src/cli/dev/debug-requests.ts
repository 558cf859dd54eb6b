/** What `berth dev` asks of the Berth: a key for its debug port, and whether the plugin is there. */
import { z } from "zod";
import { isFault } from "../../domain/fault.ts";
import type { DevServer } from "./dev-server.ts";
import type { DebugAddress } from "./relay.ts";

/** How a plugin gets in. */
export interface DebugAccess {
  readonly address: DebugAddress;
  readonly key: string;
}

/** A plugin that is connected. */
export interface Installed {
  readonly id: string;
  readonly pluginId: string;
  readonly declaration: unknown;
}

const Key = z.object({ key: z.string(), host: z.string(), port: z.number(), tls: z.boolean() });
const Installations = z.object({
  items: z.array(z.object({ id: z.string(), state: z.string(), declaration: z.unknown().optional() })),
});

/** Addresses to listen on that cannot be called. */
const ANY = ["0.0.0.0", "::"];

/** The same key as long as it is in use. Throws `not_found` where the Berth has no debug port. */
export async function requestAccess({ client, tenant }: DevServer): Promise<DebugAccess> {
  const answer = await client.ask("POST", `/v1/tenants/${tenant}/debugging-key`);
  const { key, host: listens, ...address } = Key.parse(answer);
  const host = ANY.includes(listens) ? new URL(client.url).hostname.replace(/^\[|\]$/g, "") : listens;
  return { key, address: { host, ...address } };
}

export async function findInstalled(
  { client, tenant }: DevServer,
  pluginId: string,
): Promise<Installed | undefined> {
  const path = `/v1/tenants/${tenant}/installations?plugin_id=${encodeURIComponent(pluginId)}`;
  const { items } = Installations.parse(await client.ask("GET", path));
  const found = items.find(({ state }) => state === "ready");
  return found && { id: found.id, pluginId, declaration: found.declaration };
}

/** True also where the Berth itself is. */
export async function isGone({ client, tenant }: DevServer, { id }: Installed): Promise<boolean> {
  try {
    await client.ask("GET", `/v1/tenants/${tenant}/installations/${id}`);
    return false;
  } catch (error) {
    if (isFault(error)) return true;
    throw error;
  }
}
