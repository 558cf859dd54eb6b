import type { StorageSizes } from "../storage-sizes.ts";
import type { Database } from "./database.ts";
import { uuid7 } from "./uuid7.ts";

export function createStorageSizes(db: Database): StorageSizes {
  return {
    set: ({ tenantId, pluginId, bytes }) =>
      db.run(async (prisma) => {
        const now = new Date();
        const size = BigInt(bytes);
        const { count } = await prisma.tenantStorage.updateMany({
          where: { tenantId, pluginId },
          data: { size, updatedAt: now },
        });
        if (count > 0) return;
        const row = { id: uuid7(), createdAt: now, updatedAt: now, tenantId, pluginId, size };
        await prisma.tenantStorage.create({ data: row });
      }),
    remove: ({ tenantId, pluginId }) =>
      db.run(async (prisma) => {
        const where = pluginId === undefined ? { tenantId } : { tenantId, pluginId };
        await prisma.tenantStorage.deleteMany({ where });
      }),
  };
}
