import type { StorageSizes } from "../../contracts/storage-sizes.ts";
import { type Database, type Tx, uuid7 } from "../client/database.ts";
import type { PrismaClient } from "../generated/client.ts";
import { checkDisk, serializeTenant } from "./tenant-quotas.ts";

type Size = Parameters<StorageSizes["set"]>[0];

export function createStorageSizes(db: Database): StorageSizes {
  return {
    set: (size) => db.run((prisma) => write(prisma, size)),
    reserve: (size) =>
      db.transaction(async (tx) => {
        const { tenantId, pluginId, bytes } = size;
        await serializeTenant(tx, tenantId);
        const before = await tx.tenantStorage.findFirst({ where: { tenantId, pluginId } });
        const moreBytes = bytes - Number(before?.size ?? 0n);
        await checkDisk(tx, { tenantId, moreBytes }, db.tenantDefaults);
        await write(tx, size);
      }),
    remove: ({ tenantId, pluginId }) =>
      db.run(async (prisma) => {
        const where = pluginId === undefined ? { tenantId } : { tenantId, pluginId };
        await prisma.tenantStorage.deleteMany({ where });
      }),
  };
}

async function write(prisma: PrismaClient | Tx, { tenantId, pluginId, bytes }: Size): Promise<void> {
  const now = new Date();
  const size = BigInt(bytes);
  const { count } = await prisma.tenantStorage.updateMany({
    where: { tenantId, pluginId },
    data: { size, updatedAt: now },
  });
  if (count > 0) return;
  const row = { id: uuid7(), createdAt: now, updatedAt: now, tenantId, pluginId, size };
  await prisma.tenantStorage.create({ data: row });
}
