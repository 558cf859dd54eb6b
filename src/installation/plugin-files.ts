/**
 * The files of an installation's plugin. A secret one is encrypted for its tenant, plugin and name before it is stored;
 * no content is ever returned.
 */
import type { Actor } from "../domain/audit.ts";
import { Fault, secretUnreadable } from "../domain/fault.ts";
import type { InstallationId } from "../domain/ids.ts";
import type { Installation } from "../domain/installation.ts";
import {
  assertFileName,
  assertFits,
  type PluginFile,
  type PluginFileContent,
  type PluginFileLimits,
} from "../domain/plugin-files.ts";
import type { Pool } from "../domain/runtime.ts";
import type { Log } from "../observe/log.ts";
import type { SealedPluginFile, StoredPluginFile } from "../store/contracts/plugin-files.ts";
import { resealRows } from "../store/reseal-rows.ts";
import type { Store } from "../store/store.ts";
import { openBytes, type SealKeys, sealBytes } from "../util/sealed-text.ts";
import { sha256 } from "../util/sha256.ts";
import { assertOwnPool } from "./variables.ts";

export interface PluginFiles {
  readonly limits: PluginFileLimits;
  list(id: InstallationId): Promise<readonly PluginFile[]>;
  /**
   * Adds or replaces one. The pool's containers are replaced if it differs. Throws `invalid_input` for a wrong name and
   * where the files are too large together, and `conflict` where tenants share the containers.
   */
  put(change: PutFile): Promise<PluginFile>;
  /** Throws `not_found`. */
  remove(change: Omit<PutFile, "content" | "secret">): Promise<void>;
}

interface PutFile {
  readonly installation: Installation;
  readonly name: string;
  readonly content: Buffer;
  readonly secret: boolean;
  readonly by: Actor;
}

/** Whose files they are. */
type Owner = Pick<Installation, "tenantId" | "pluginId">;

interface FileDeps {
  readonly store: Pick<Store, "pluginFiles" | "pools">;
  readonly keys: SealKeys;
}

export function createPluginFiles({
  store,
  keys,
  limits,
}: FileDeps & { readonly limits: PluginFileLimits }): PluginFiles {
  return {
    limits,
    list: (id) => store.pluginFiles.list(id),
    put: async ({ installation, name, content, secret, by }) => {
      assertFileName(name);
      await assertOwnPool(store, installation, "files");
      const before = (await store.pluginFiles.contentsOf(installation)).find((one) => one.name === name);
      const isSecret = before !== undefined && before.sha256 === undefined;
      if (before !== undefined && isSecret === secret && isSame(keys, installation, before, content))
        return before;
      const { id } = installation;
      const file = toStored(keys, installation, { name, content, secret });
      return await store.pluginFiles.put({
        id,
        file,
        allow: (stored) => assertFits(file, stored, limits),
        by,
      });
    },
    remove: async ({ installation: { id }, name, by }) => {
      if (await store.pluginFiles.remove({ id, name, by })) return;
      throw new Fault("not_found", `The installation has no file ${JSON.stringify(name)}.`, {
        details: { field: "name", value: name, accepted: "the name of a file of this installation" },
      });
    },
  };
}

function toStored(
  keys: SealKeys,
  owner: Owner,
  { name, content, secret }: Pick<PutFile, "name" | "content" | "secret">,
): Omit<StoredPluginFile, "changedAt"> {
  const bytes = content.length;
  return secret
    ? { name, bytes, sha256: undefined, content: sealBytes(keys, placeOf(owner, name), content) }
    : { name, bytes, sha256: sha256(content), content: content.toString("base64") };
}

function isSame(keys: SealKeys, owner: Owner, stored: StoredPluginFile, content: Buffer): boolean {
  try {
    return open(keys, owner, stored).equals(content);
  } catch {
    // Unreadable: the new content replaces it.
    return false;
  }
}

/** For `ProfileSettings.openFiles`: the files of a tenant's pool. Throws `secret_unreadable`. */
export async function openPluginFiles(
  { store, keys }: { readonly store: Pick<Store, "pluginFiles">; readonly keys: SealKeys },
  { tenantId, pluginId }: Pick<Pool, "tenantId" | "pluginId">,
): Promise<readonly PluginFileContent[]> {
  if (tenantId === undefined) return [];
  const owner = { tenantId, pluginId };
  const stored = await store.pluginFiles.contentsOf(owner);
  return stored.map((one) => ({ name: one.name, content: open(keys, owner, one) }));
}

function open(keys: SealKeys, owner: Owner, { name, sha256: digest, content }: StoredPluginFile): Buffer {
  if (digest !== undefined) return Buffer.from(content, "base64");
  try {
    return openBytes(keys, placeOf(owner, name), content);
  } catch (cause) {
    throw secretUnreadable(`The file ${name} of ${owner.pluginId}`, { field: `files.${name}` }, cause);
  }
}

function placeOf({ tenantId, pluginId }: Owner, name: string): readonly string[] {
  return ["file", tenantId, pluginId, name];
}

/** Encrypts secret files again, as `resealRows` does. Containers stay. */
export async function resealPluginFiles(
  {
    store,
    keys,
    log,
  }: { readonly store: Pick<Store, "pluginFiles">; readonly keys: SealKeys; readonly log: Log },
  signal: AbortSignal,
): Promise<void> {
  await resealRows<SealedPluginFile>(
    {
      op: "files.reseal",
      keys,
      log,
      rows: store.pluginFiles,
      reseal: async ({ id, name, ...owner }) => {
        const place = placeOf(owner, name);
        let outcome: "resealed" | "unreadable" = "resealed";
        await store.pluginFiles.reseal(id, (sealed) => {
          try {
            return sealBytes(keys, place, openBytes(keys, place, sealed));
          } catch {
            outcome = "unreadable";
            return sealed;
          }
        });
        return outcome;
      },
    },
    signal,
  );
}
