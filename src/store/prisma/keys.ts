import { Fault } from "../../domain/fault.ts";
import type { KeyRows } from "../store.ts";
import { type Database, isUniqueViolation } from "./database.ts";
import { toKey } from "./rows.ts";
import { uuid7 } from "./uuid7.ts";

export function createKeyRows(db: Database): KeyRows {
  return {
    create: ({ name, hint, hash, tenantId }) =>
      db.run(async (prisma) => {
        try {
          return toKey(
            await prisma.key.create({ data: { id: uuid7(), name, hint, hash, tenantId: tenantId ?? null } }),
          );
        } catch (error) {
          if (isUniqueViolation(error)) throw new Fault("conflict", "This key exists already.");
          throw error;
        }
      }),
    revoke: (id) =>
      db.run(async (prisma) => {
        await prisma.$executeRaw`
          UPDATE berth_keys SET revoked_at = clock_timestamp() WHERE id::text = ${id} AND revoked_at IS NULL`;
        const row = await prisma.$queryRaw<
          { id: string }[]
        >`SELECT id FROM berth_keys WHERE id::text = ${id}`;
        if (row.length === 0) throw new Fault("not_found", `There is no key ${id}.`);
        return toKey(await prisma.key.findUniqueOrThrow({ where: { id } }));
      }),
    list: () =>
      db.run(async (prisma) =>
        (await prisma.key.findMany({ orderBy: [{ createdAt: "desc" }, { id: "desc" }] })).map(toKey),
      ),
  };
}
