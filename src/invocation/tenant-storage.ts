/** What all plugins of one Tenant keep in `host-storage.ts`, as a whole: how much it is, and its removal. */
import { readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import type { TenantId } from "../domain/ids.ts";

export interface TenantStorage {
  /** Bytes of all values, read from the disk at each call. */
  usedBytes(tenantId: TenantId): Promise<number>;
  /** Removes what one plugin keeps. Nobody may write meanwhile; repeated, it does nothing. */
  removeOf(tenantId: TenantId, pluginId: string): Promise<void>;
  /** Repeated, it does nothing. Nobody may write meanwhile: the plugins are gone by then. */
  remove(tenantId: TenantId): Promise<{ readonly bytes: number }>;
}

/** The folder is that of the host storage. */
export function createTenantStorage({ folder }: { readonly folder: string }): TenantStorage {
  const usedBytes = (tenantId: TenantId) => bytesBelow(join(folder, tenantId));
  return {
    usedBytes,
    removeOf: async (tenantId, pluginId) => {
      const own = join(folder, tenantId, ...pluginId.split("/"));
      for (const path of [own, `${own}.lock`]) await rm(path, { recursive: true, force: true });
    },
    remove: async (tenantId) => {
      const bytes = await usedBytes(tenantId);
      await rm(join(folder, tenantId), { recursive: true, force: true });
      return { bytes };
    },
  };
}

/** What goes away while it is looked at counts nothing. */
async function bytesBelow(folder: string): Promise<number> {
  const entries = await readdir(folder, { withFileTypes: true, recursive: true }).catch(() => []);
  let bytes = 0;
  for (const entry of entries.filter((found) => found.isFile())) {
    const found = await stat(join(entry.parentPath, entry.name)).catch(() => undefined);
    bytes += found?.size ?? 0;
  }
  return bytes;
}
