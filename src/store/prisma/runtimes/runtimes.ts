import { Fault } from "../../../domain/fault.ts";
import { type MemoryRequest, refuseOverBudget } from "../../../domain/host-budget.ts";
import type { RuntimeId, TenantId } from "../../../domain/ids.ts";
import type { RuntimeEnd, RuntimeRecord } from "../../../domain/runtime.ts";
import { refuseMemory, type TenantQuotas } from "../../../domain/tenant-quotas.ts";
import type { RuntimeRows } from "../../contracts/runtimes.ts";
import { type Database, json, type Tx } from "../client/database.ts";
import { writeOrBare } from "../client/storable-cause.ts";
import type * as rows from "../generated/client.ts";
import { memoryQuotaOf, reservedBytes } from "../tenants/tenant-quotas.ts";

/** Ended runtimes that a pool's history always keeps. */
const HISTORY = 200;

export function createRuntimeRows(db: Database): RuntimeRows {
  const { tenantDefaults: defaults } = db;
  return {
    create: (runtime, reservation) =>
      db.transaction(async (tx) => {
        const { id, poolKey, slot, generation, containerName, specHash } = runtime;
        const { tenantId = null, pluginId = null, identifier = null } = runtime;
        await reserveMemory(tx, { poolKey, reservation, defaults });
        const memoryBytes = reservation === undefined ? null : BigInt(reservation.memoryBytes);
        const told = { tenantId, pluginId, identifier };
        const row = await tx.runtime.create({
          data: { id, poolKey, slot, generation, containerName, specHash, memoryBytes, ...told },
        });
        await tx.runtime.deleteMany({
          where: { poolKey, state: "ended", generation: { lt: generation - HISTORY } },
        });
        return toRuntime(row);
      }),
    setContainer: (id, containerId) =>
      db.run(async (prisma) => {
        assertThere((await prisma.runtime.updateMany({ where: { id }, data: { containerId } })).count, id);
      }),
    setState: (id, state) =>
      db.run(async (prisma) => {
        await prisma.$executeRaw`
          UPDATE berth_runtimes SET state = ${state},
            ready_at = CASE WHEN ${state} = 'ready' THEN coalesce(ready_at, clock_timestamp()) ELSE ready_at END
          WHERE id = ${id} AND state <> 'ended'`;
        assertThere(await prisma.runtime.count({ where: { id } }), id);
      }),
    end: (id, full) =>
      writeOrBare(
        full,
        ({ reason }) => ({ reason }),
        (end) =>
          db.run(async (prisma) => {
            // The first end counts; a later one only reports that the container is gone.
            await prisma.runtime.updateMany({
              where: { id, state: { not: "ended" } },
              data: { state: "ended", endedAt: new Date(), end: json(end) },
            });
            assertThere(await prisma.runtime.count({ where: { id } }), id);
          }),
      ),
    listOfPool: (poolKey, limit) =>
      db.run(async (prisma) =>
        (
          await prisma.runtime.findMany({
            where: { poolKey },
            orderBy: [{ generation: "desc" }, { slot: "desc" }],
            take: limit,
          })
        ).map(toRuntime),
      ),
    find: (id) =>
      db.run(async (prisma) => {
        const row = await prisma.runtime.findUnique({ where: { id } });
        return row === null ? undefined : toRuntime(row);
      }),
    nextGeneration: (poolKey) =>
      db.run(async (prisma) => {
        const { _max } = await prisma.runtime.aggregate({ where: { poolKey }, _max: { generation: true } });
        return (_max.generation ?? 0) + 1;
      }),
    listLive: createListLive(db),
    ...createReservations(db),
    ...createHistory(db),
  };
}

function createListLive(db: Database): RuntimeRows["listLive"] {
  const read = (poolKey?: string) =>
    db.run(async (prisma) =>
      (
        await prisma.runtime.findMany({
          where: { state: { not: "ended" }, ...(poolKey === undefined ? {} : { poolKey }) },
          orderBy: [{ startedAt: "desc" }, { id: "desc" }],
        })
      ).map(toRuntime),
    );
  const readAll = db.watch.remember("runtimes", () => read());
  return (poolKey) => (poolKey === undefined ? readAll() : read(poolKey));
}

function createReservations(db: Database): Pick<RuntimeRows, "reserve"> {
  return {
    reserve: (id, memoryBytes, judged) =>
      db.transaction(async (tx) => {
        const row = await tx.runtime.findUnique({ where: { id } });
        if (row === null || row.state === "ended") return;
        const more = memoryBytes - Number(row.memoryBytes ?? 0n);
        if (judged !== undefined && more > 0)
          await reserveMemory(tx, {
            poolKey: row.poolKey,
            reservation: { ...judged, memoryBytes: more, isMore: true },
            defaults: db.tenantDefaults,
          });
        await tx.runtime.update({ where: { id }, data: { memoryBytes: BigInt(memoryBytes) } });
      }),
  };
}

function createHistory(db: Database): Pick<RuntimeRows, "noteAction" | "listOfPlugin" | "purge"> {
  return {
    noteAction: (id, action) =>
      db.run(async (prisma) => {
        await prisma.$executeRaw`
          UPDATE berth_runtimes SET "end" = "end" || ${JSON.stringify({ action })}::jsonb
          WHERE id = ${id} AND "end" IS NOT NULL`;
      }),
    listOfPlugin: ({ tenantId, pluginId, since }, limit) =>
      db.run(async (prisma) =>
        (
          await prisma.runtime.findMany({
            where: {
              pluginId,
              AND: [
                { OR: [{ tenantId }, { tenantId: null }] },
                { OR: [{ endedAt: null }, { endedAt: { gte: since } }] },
              ],
            },
            orderBy: [{ startedAt: "desc" }, { id: "desc" }],
            take: limit,
          })
        ).map(toRuntime),
      ),
    purge: (olderThanDays, limit) =>
      db.run(
        (prisma) => prisma.$executeRaw`
          DELETE FROM berth_runtimes WHERE id IN (
            SELECT id FROM berth_runtimes
            WHERE state = 'ended' AND ended_at < clock_timestamp() - ${olderThanDays} * interval '1 day'
            ORDER BY ended_at LIMIT ${limit})`,
      ),
  };
}

interface Reserving {
  readonly poolKey: string;
  readonly reservation: MemoryRequest | undefined;
  readonly defaults: TenantQuotas;
}

/**
 * Living runtimes are the reservations: nothing has to be released. Simultaneous reservations, in whichever process, wait
 * for each other.
 */
async function reserveMemory(tx: Tx, { poolKey, reservation, defaults }: Reserving): Promise<void> {
  if (reservation === undefined) return;
  const quotaBytes = await memoryQuotaOf(tx, poolKey, defaults);
  if (reservation.budgetBytes === undefined && quotaBytes === undefined) return;
  await tx.$queryRaw`SELECT key FROM berth_meta WHERE key = 'instance_id' FOR UPDATE`;
  const [reserved] = await tx.$queryRaw<{ bytes: bigint; runtimes: bigint; own: bigint }[]>`
    WITH live AS (
      SELECT ${reservedBytes} AS bytes, p.tenant_id
      FROM berth_runtimes r LEFT JOIN berth_pools p ON p.key = r.pool_key
      WHERE r.state <> 'ended')
    SELECT coalesce(sum(bytes), 0)::bigint AS bytes, count(*) AS runtimes,
      coalesce(sum(bytes) FILTER (WHERE tenant_id IS NOT DISTINCT FROM (
        SELECT tenant_id FROM berth_pools WHERE key = ${poolKey})), 0)::bigint AS own
    FROM live`;
  const { bytes, runtimes, own } = reserved ?? { bytes: 0n, runtimes: 0n, own: 0n };
  const reservedNow = { bytes: Number(bytes), runtimes: Number(runtimes), ownBytes: Number(own) };
  const fault =
    refuseMemory(quotaBytes, reservedNow.ownBytes, { ...reservation, asked: reservation.memoryBytes }) ??
    refuseOverBudget(reservation, reservedNow);
  if (fault !== undefined) throw fault;
}

function assertThere(rows: number, id: string): void {
  if (rows === 0) throw new Fault("not_found", `There is no runtime ${id}.`);
}

function toRuntime(row: rows.Runtime): RuntimeRecord {
  return {
    id: row.id as RuntimeId,
    poolKey: row.poolKey,
    slot: row.slot,
    generation: row.generation,
    containerName: row.containerName,
    containerId: row.containerId ?? undefined,
    specHash: row.specHash,
    state: row.state as RuntimeRecord["state"],
    startedAt: row.startedAt,
    readyAt: row.readyAt ?? undefined,
    endedAt: row.endedAt ?? undefined,
    end: (row.end ?? undefined) as RuntimeEnd | undefined,
    tenantId: (row.tenantId ?? undefined) as TenantId | undefined,
    pluginId: row.pluginId ?? undefined,
    identifier: row.identifier ?? undefined,
  };
}
