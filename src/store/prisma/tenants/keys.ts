import { Fault } from "../../../domain/fault.ts";
import type { TenantId } from "../../../domain/ids.ts";
import { SCOPES, type Scope } from "../../../domain/scope.ts";
import type { ApiKey, KeyRows } from "../../contracts/keys.ts";
import { type Database, isUniqueViolation, json, jsonText, uuid7 } from "../client/database.ts";
import { PLACE_AT, type PlacedRow, pageSql, toPage } from "../client/page.ts";
import type * as rows from "../generated/client.ts";
import { Prisma } from "../generated/client.ts";
import { holdTenant, writeEvent } from "./audit.ts";

export function createKeyRows(db: Database): KeyRows {
  return { ...createReads(db), ...createWrites(db) };
}

function createReads(db: Database): Pick<KeyRows, "list" | "page"> {
  return {
    page: ({ tenantId }, page) =>
      db.run(async (prisma) => {
        const mine = tenantId === undefined ? Prisma.empty : Prisma.sql`AND tenant_id = ${tenantId}::uuid`;
        const placed = await prisma.$queryRaw<PlacedRow[]>`
          SELECT id, ${PLACE_AT} FROM berth_keys
          WHERE true ${mine} ${pageSql(page, Prisma.sql`id`, Prisma.sql`uuid`)}`;
        const rows = await prisma.key.findMany({ where: { id: { in: placed.map(({ id }) => id) } } });
        return toPage(placed, page, new Map(rows.map((row) => [row.id, row])), toKey);
      }),
    list: db.watch.remember("keys", () =>
      db.run(async (prisma) => (await prisma.key.findMany({ where: { revokedAt: null } })).map(toKey)),
    ),
  };
}

function createWrites(db: Database): Pick<KeyRows, "create" | "revoke" | "noteUse"> {
  return {
    create: async ({ name, hint, hash, tenantId = null, scopes, expiresAt = null, by }) => {
      const data = { id: uuid7(), name, hint, hash, tenantId, expiresAt, scopes: json(scopes) };
      try {
        return await db.transaction(async (tx) => {
          if (tenantId !== null) await holdTenant(tx, tenantId);
          const row = await tx.key.create({ data });
          await writeEvent(tx, { kind: "key.create", by, tenantId, subject: row.id, result: "done" });
          return toKey(row);
        });
      } catch (error) {
        if (isUniqueViolation(error)) throw new Fault("conflict", "This key exists already.");
        throw error;
      }
    },
    revoke: (id, by) =>
      db.transaction(async (tx) => {
        const revoked = await tx.$executeRaw`
          UPDATE berth_keys SET revoked_at = clock_timestamp() WHERE id::text = ${id} AND revoked_at IS NULL`;
        const [found] = await tx.$queryRaw<
          { id: string }[]
        >`SELECT id FROM berth_keys WHERE id::text = ${id}`;
        if (found === undefined) throw new Fault("not_found", `There is no key ${id}.`);
        const row = await tx.key.findUniqueOrThrow({ where: { id } });
        if (revoked > 0)
          await writeEvent(tx, {
            kind: "key.revoke",
            by,
            tenantId: row.tenantId,
            subject: id,
            result: "done",
          });
        return toKey(row);
      }),
    noteUse: (uses) =>
      db.run(async (prisma) => {
        if (uses.length === 0) return;
        // greatest() ignores NULL, and several processes may write in any order.
        await prisma.$executeRaw`
          UPDATE berth_keys k SET last_used_at = greatest(k.last_used_at, (used.value ->> 'at')::timestamptz)
          FROM jsonb_array_elements(${jsonText(uses)}::jsonb) AS used
          WHERE k.id = (used.value ->> 'id')::uuid`;
      }),
  };
}

function toKey(row: rows.Key): ApiKey {
  return {
    id: row.id,
    name: row.name,
    hint: row.hint,
    hash: row.hash,
    tenantId: (row.tenantId ?? undefined) as TenantId | undefined,
    scopes: (row.scopes ?? SCOPES) as readonly Scope[],
    createdAt: row.createdAt,
    expiresAt: row.expiresAt ?? undefined,
    lastUsedAt: row.lastUsedAt ?? undefined,
    revokedAt: row.revokedAt ?? undefined,
  };
}
