/**
 * The environment variables of an installation's plugin. Secrets are encrypted for their tenant, plugin and name before
 * they are stored, and are never returned.
 */
import { randomBytes } from "node:crypto";
import type { Actor } from "../domain/audit.ts";
import { Fault, secretUnreadable } from "../domain/fault.ts";
import type { InstallationId, TenantId } from "../domain/ids.ts";
import type { Installation } from "../domain/installation.ts";
import type { Pool } from "../domain/runtime.ts";
import { assertVariables, type PluginVariable, type VariableAsked } from "../domain/variables.ts";
import type { Log } from "../observe/log.ts";
import type { SealedVariables } from "../store/contracts/variables.ts";
import { resealRows } from "../store/reseal-rows.ts";
import type { Store } from "../store/store.ts";
import { openText, type SealKeys, sealText } from "../util/sealed-text.ts";

export interface PluginVariables {
  list(id: InstallationId): Promise<readonly PluginVariable[]>;
  /**
   * Replaces all of them. The pool's containers are replaced if anything differs. Throws `invalid_input`, and
   * `conflict` where tenants share the containers or another request was faster.
   */
  replace(change: ReplaceVariables): Promise<readonly PluginVariable[]>;
}

interface ReplaceVariables {
  readonly installation: Installation;
  readonly variables: Readonly<Record<string, VariableAsked>>;
  readonly by: Actor;
}

/** Whose variables they are. */
interface Owner {
  readonly tenantId: TenantId;
  readonly pluginId: string;
}

export function createPluginVariables({
  store,
  keys,
}: {
  readonly store: Pick<Store, "variables" | "pools">;
  readonly keys: SealKeys;
}): PluginVariables {
  return {
    list: (id) => store.variables.get(id),
    replace: async ({ installation, variables: asked, by }) => {
      assertVariables(asked);
      await assertOwnPool(store, installation, "variables");
      const expected = await store.variables.get(installation.id);
      const before = new Map(expected.map((one) => [one.name, one]));
      const variables = Object.entries(asked)
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([name, one]) => toStored(keys, { owner: installation, name, before: before.get(name) }, one));
      if (await store.variables.replace({ id: installation.id, variables, expected, by })) return variables;
      throw new Fault("conflict", "Another request has just changed the variables of this installation.");
    },
  };
}

/** Throws `conflict` where tenants share the containers. */
export async function assertOwnPool(
  store: Pick<Store, "pools">,
  { poolKey }: Installation,
  what: "variables" | "files",
): Promise<void> {
  const pool = poolKey === undefined ? undefined : await store.pools.find(poolKey);
  if (pool === undefined || pool.tenantId !== undefined) return;
  throw new Fault(
    "conflict",
    `The plugin runs in a shared pool, where one tenant's ${what} would reach all others; BERTH_ISOLATION and ` +
      "BERTH_SHARED_PLUGINS decide what is shared.",
  );
}

interface Place {
  readonly owner: Owner;
  readonly name: string;
  readonly before: PluginVariable | undefined;
}

/** A secret with the value that it has already stays as it is, so that no container is replaced for it. */
function toStored(
  keys: SealKeys,
  { owner, name, before }: Place,
  { value, secret }: VariableAsked,
): PluginVariable {
  if (!secret) return { name, value: value ?? "" };
  const kept = before !== undefined && "sealed" in before ? before : undefined;
  if (kept !== undefined && (value === undefined || opensAs(keys, owner, kept) === value)) return kept;
  if (value === undefined)
    throw new Fault("invalid_input", `variables.${name}.value is missing; accepted: a text.`, {
      details: { field: `variables.${name}.value`, value: null, accepted: "a text, for a new secret" },
    });
  const version = randomBytes(8).toString("hex");
  return { name, sealed: sealText(keys, placeOf(owner, name), value), version };
}

function opensAs(keys: SealKeys, owner: Owner, kept: PluginVariable): string | undefined {
  try {
    return open(keys, owner, kept);
  } catch {
    // Unreadable: the new value replaces it.
    return undefined;
  }
}

/** For `ProfileSettings.openVariables`: a pool's variables in plain text. Throws `secret_unreadable`. */
export function openVariables(
  keys: SealKeys,
  { tenantId, pluginId, variables }: Pick<Pool, "tenantId" | "pluginId" | "variables">,
): Readonly<Record<string, string>> {
  if (tenantId === undefined) return {};
  return Object.fromEntries(variables.map((one) => [one.name, open(keys, { tenantId, pluginId }, one)]));
}

function open(keys: SealKeys, owner: Owner, variable: PluginVariable): string {
  if ("value" in variable) return variable.value;
  const { name, sealed } = variable;
  try {
    return openText(keys, placeOf(owner, name), sealed);
  } catch (cause) {
    throw secretUnreadable(
      `The variable ${name} of ${owner.pluginId}`,
      { field: `variables.${name}` },
      cause,
    );
  }
}

function placeOf({ tenantId, pluginId }: Owner, name: string): readonly string[] {
  return ["variable", tenantId, pluginId, name];
}

/** Encrypts secret variables again, as `resealRows` does. Containers stay. */
export async function resealVariables(
  {
    store,
    keys,
    log,
  }: { readonly store: Pick<Store, "variables">; readonly keys: SealKeys; readonly log: Log },
  signal: AbortSignal,
): Promise<void> {
  await resealRows<SealedVariables>(
    {
      op: "variables.reseal",
      keys,
      log,
      rows: store.variables,
      reseal: (row) => resealOne(store, keys, row),
    },
    signal,
  );
}

async function resealOne(
  store: Pick<Store, "variables">,
  keys: SealKeys,
  { id, variables: expected, ...owner }: SealedVariables,
): Promise<"resealed" | "unreadable"> {
  let variables: readonly PluginVariable[];
  try {
    variables = expected.map((one) =>
      "value" in one
        ? one
        : { ...one, sealed: sealText(keys, placeOf(owner, one.name), open(keys, owner, one)) },
    );
  } catch {
    return "unreadable";
  }
  await store.variables.replace({ id, variables, expected });
  return "resealed";
}
