/** The data of all plugins of one tenant as a whole: its size, and its removal. */
import type { TenantId } from "../domain/ids.ts";
import { FormerStorage, type StoragePlace } from "./storage-place.ts";
import { StorageTally } from "./storage-tally.ts";

/** Throws `package_store_unavailable` where the storage cannot be reached. */
export interface TenantStorage {
  /** Bytes of all values, read from the storage at each call. */
  usedBytes(tenantId: TenantId): Promise<number>;
  /** Removes the data of one plugin, which must not write meanwhile. Repeating it does nothing. */
  removeOf(tenantId: TenantId, pluginId: string): Promise<void>;
  /** Repeating it does nothing. No plugin may write meanwhile: all are removed by then. */
  remove(tenantId: TenantId): Promise<{ readonly bytes: number }>;
}

/** The same place as that of the host storage. */
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
      await tally.clear({ tenantId, pluginId });
      await files.removeFolder(`${folder}/${tenantId}/${pluginId}`);
      await new FormerStorage(place, tenantId, pluginId).removeAll();
      await sizes.remove({ tenantId, pluginId });
    },
    remove: async (tenantId) => {
      const bytes = await usedBytes(tenantId);
      await tally.clearAll(tenantId);
      await files.removeFolder(`${folder}/${tenantId}`);
      await new FormerStorage(place, tenantId).removeAll();
      await sizes.remove({ tenantId });
      return { bytes };
    },
  };
}
