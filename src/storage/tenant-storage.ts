/** What all plugins of one Tenant keep in `host-storage.ts`, as a whole: how much it is, and its removal. */
import type { TenantId } from "../domain/ids.ts";
import { FormerStorage, type StoragePlace } from "./storage-place.ts";
import { StorageTally } from "./storage-tally.ts";

export interface TenantStorage {
  /** Bytes of all values, read from the storage at each call. */
  usedBytes(tenantId: TenantId): Promise<number>;
  /** Removes what one plugin keeps. Nobody may write meanwhile; repeated, it does nothing. */
  removeOf(tenantId: TenantId, pluginId: string): Promise<void>;
  /** Repeated, it does nothing. Nobody may write meanwhile: the plugins are gone by then. */
  remove(tenantId: TenantId): Promise<{ readonly bytes: number }>;
}

/** The place is that of the host storage. */
export function createTenantStorage(place: StoragePlace): TenantStorage {
  const { files, folder, sizes } = place;
  const tally = new StorageTally(place);
  const usedBytes = async (tenantId: TenantId) => {
    let bytes = 0;
    const { signal } = new AbortController();
    for await (const file of files.list(`${folder}/${tenantId}`, signal)) bytes += file.bytes;
    for (const size of await new FormerStorage(place, tenantId).sizes()) bytes += size;
    return bytes;
  };
  return {
    usedBytes,
    removeOf: async (tenantId, pluginId) => {
      await tally.forget({ tenantId, pluginId });
      await files.removeFolder(`${folder}/${tenantId}/${pluginId}`);
      await new FormerStorage(place, tenantId, pluginId).removeAll();
      await sizes.remove({ tenantId, pluginId });
    },
    remove: async (tenantId) => {
      const bytes = await usedBytes(tenantId);
      await tally.forgetAll(tenantId);
      await files.removeFolder(`${folder}/${tenantId}`);
      await new FormerStorage(place, tenantId).removeAll();
      await sizes.remove({ tenantId });
      return { bytes };
    },
  };
}
