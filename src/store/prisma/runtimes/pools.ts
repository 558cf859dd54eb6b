import { Fault } from "../../../domain/fault.ts";
import type { TenantId } from "../../../domain/ids.ts";
import type { Lease, Pool } from "../../../domain/runtime.ts";
import type { PoolRows } from "../../contracts/pools.ts";
import { type Database, json, jsonText, jsonValue, readLimits, toCause } from "../client/database.ts";
import { leaseOver } from "../client/lease-expiry.ts";
import { writeCause } from "../client/storable-cause.ts";
import type * as rows from "../generated/client.ts";
import { Prisma } from "../generated/client.ts";
import { copyVariables, toVariables } from "../installations/variables.ts";

export function createPoolRows(db: Database): PoolRows {
  return {
    ensure: (pool) =>
      db.run(async (prisma) => {
        const { key, imageRef, wanted } = pool;
        const changing = {
          imageRef,
          wanted,
          limits: jsonValue(pool.limits),
          removalAsked: false,
          retiring: false,
        };
        // Update first: an insert that conflicts would use a number of the uid sequence each time.
        const { count } = await prisma.pool.updateMany({ where: { key }, data: changing });
        if (count === 0)
          await prisma.pool.upsert({
            where: { key },
            update: changing,
            create: {
              key,
              tenantId: pool.tenantId ?? null,
              pluginId: pool.pluginId,
              identifier: pool.identifier,
              imageKey: pool.imageKey,
              runner: jsonValue(pool.runner),
              ...changing,
            },
          });
        await copyVariables(prisma, pool);
        return toPool(await prisma.pool.findUniqueOrThrow({ where: { key } }));
      }),
    find: (key) =>
      db.run(async (prisma) => {
        const row = await prisma.pool.findUnique({ where: { key } });
        return row === null ? undefined : toPool(row);
      }),
    list: db.watch.remember("pools", () =>
      db.run(async (prisma) =>
        (await prisma.pool.findMany({ orderBy: [{ createdAt: "desc" }, { key: "desc" }] })).map(toPool),
      ),
    ),
    setState: (key, { state, cause: why, nextStartAt }) =>
      writeCause(why, (cause) =>
        db.run(async (prisma) => {
          const data = { state, cause: json(cause), nextStartAt: nextStartAt ?? null };
          assertThere((await prisma.pool.updateMany({ where: { key }, data })).count, key);
        }),
      ),
    setWanted: (key, wanted) =>
      db.run(async (prisma) => {
        assertThere((await prisma.pool.updateMany({ where: { key }, data: { wanted } })).count, key);
      }),
    claim: (key, holder, leaseMs) =>
      db.run(async (prisma) => {
        // The attempt grows only where the lease changes its holder or had expired: a renewal fences nothing.
        const claimed = await prisma.$executeRaw`
          UPDATE berth_pools SET holder = ${holder},
            attempt = CASE WHEN holder = ${holder} AND lease_expires_at > clock_timestamp()
                      THEN attempt ELSE attempt + 1 END,
            lease_expires_at = clock_timestamp() + ${leaseMs} * interval '1 millisecond'
          WHERE key = ${key}
            AND (holder IS NULL OR holder = ${holder} OR ${leaseOver("lease_expires_at", leaseMs)})`;
        if (claimed === 0) return undefined;
        const row = await prisma.pool.findUnique({ where: { key } });
        return row === null ? undefined : toPool(row);
      }),
    renew: (keys, holder, leaseMs) =>
      db.run(async (prisma) => {
        const renewed = await prisma.$queryRaw<{ key: string }[]>`
          UPDATE berth_pools SET lease_expires_at = clock_timestamp() + ${leaseMs} * interval '1 millisecond'
          WHERE key = ANY(${keys}) AND holder = ${holder} AND NOT ${leaseOver("lease_expires_at", leaseMs)}
          RETURNING key`;
        return renewed.map(({ key }) => key);
      }),
    releaseAll: (holder) =>
      db.run(async (prisma) => {
        const released = await prisma.$queryRaw<{ key: string }[]>`
          UPDATE berth_pools SET holder = NULL, lease_expires_at = NULL WHERE holder = ${holder} RETURNING key`;
        return released.map(({ key }) => key);
      }),
    ...createPoolEnds(db),
    ...createPoolRequests(db),
  };
}

/** Ends of pools: each statement checks the installations that point to the pool at that moment. */
function createPoolEnds(db: Database): Pick<PoolRows, "unwantUnused" | "unwantIdle" | "removeUnused"> {
  return {
    unwantUnused: (key) =>
      db.run(async (prisma) => {
        const unwanted = await prisma.$executeRaw`
          UPDATE berth_pools SET wanted = false WHERE key = ${key} AND NOT EXISTS (
            SELECT 1 FROM berth_installations
            WHERE (pool_key = ${key} OR next_pool_key = ${key}) AND desired <> 'removed')`;
        return unwanted > 0;
      }),
    unwantIdle: (key) =>
      db.run(async (prisma) => {
        const unwanted = await prisma.$executeRaw`
          UPDATE berth_pools SET wanted = false WHERE key = ${key} AND NOT EXISTS (
            SELECT 1 FROM berth_installations
            WHERE (pool_key = ${key} OR next_pool_key = ${key}) AND desired = 'enabled')`;
        return unwanted > 0;
      }),
    removeUnused: (key) =>
      db.run(async (prisma) => {
        await prisma.$executeRaw`
          DELETE FROM berth_pools WHERE key = ${key} AND NOT EXISTS (
            SELECT 1 FROM berth_installations
            WHERE (pool_key = ${key} OR next_pool_key = ${key}) AND desired <> 'removed')`;
        return (await prisma.pool.count({ where: { key } })) === 0;
      }),
  };
}

/** Requests between workers. */
function createPoolRequests(
  db: Database,
): Pick<PoolRows, "askStart" | "askReplace" | "withdraw" | "answerStart" | "askRemoval"> {
  return {
    askStart: (key) =>
      db.run(async (prisma) => {
        const [row] = await prisma.$queryRaw<{ asked: number }[]>`
          UPDATE berth_pools SET start_asked = start_asked + 1 WHERE key = ${key} RETURNING start_asked AS asked`;
        assertThere(row === undefined ? 0 : 1, key);
        return row?.asked ?? 0;
      }),
    askReplace: (key, limits) =>
      db.run(async (prisma) => {
        const next = jsonText(limits);
        const [row] = await prisma.$queryRaw<{ asked: number }[]>`
          UPDATE berth_pools SET start_asked = start_asked + 1, next_limits = ${next}::jsonb,
            generation_min = CASE WHEN ${next}::jsonb IS NOT NULL THEN generation_min ELSE
              (SELECT coalesce(max(generation), 0) + 1 FROM berth_runtimes WHERE pool_key = ${key}) END
          WHERE key = ${key} RETURNING start_asked AS asked`;
        assertThere(row === undefined ? 0 : 1, key);
        return row?.asked ?? 0;
      }),
    withdraw: (key, asked) =>
      db.run(async (prisma) => {
        const where = { key, startAsked: asked, startAnswered: { lt: asked } };
        const data = { startAnswered: asked, nextLimits: Prisma.DbNull, generationMin: 0 };
        await prisma.pool.updateMany({ where, data });
      }),
    answerStart: (key, asked, why) =>
      writeCause(why, (fault) =>
        db.run(async (prisma) => {
          // This answer must neither apply nor drop the limits of a later request.
          const said = jsonText(fault);
          await prisma.$executeRaw`
            UPDATE berth_pools SET start_answered = ${asked}, start_fault = ${said}::jsonb,
              limits = CASE WHEN start_asked = ${asked} AND ${said}::jsonb IS NULL
                       THEN coalesce(next_limits, limits) ELSE limits END,
              next_limits = CASE WHEN start_asked = ${asked} THEN NULL ELSE next_limits END,
              generation_min = CASE WHEN start_asked = ${asked} AND ${said}::jsonb IS NOT NULL
                               THEN 0 ELSE generation_min END
            WHERE key = ${key} AND start_answered < ${asked}`;
        }),
      ),
    askRemoval: (key, asked) =>
      db.run(async (prisma) => {
        const where = asked ? { key, wanted: false } : { key };
        await prisma.pool.updateMany({ where, data: { removalAsked: asked } });
      }),
  };
}

function assertThere(rows: number, key: string): void {
  if (rows === 0) throw new Fault("not_found", `There is no pool ${key}.`);
}

export function toPool(row: rows.Pool): Pool {
  return {
    key: row.key,
    tenantId: (row.tenantId ?? undefined) as TenantId | undefined,
    pluginId: row.pluginId,
    identifier: row.identifier,
    imageKey: row.imageKey,
    imageRef: row.imageRef,
    runner: row.runner as Pool["runner"],
    limits: readLimits(row.limits),
    variables: toVariables(row.variables),
    uidOffset: row.uidOffset,
    wanted: row.wanted,
    state: row.state as Pool["state"],
    cause: toCause(row.cause),
    nextStartAt: row.nextStartAt ?? undefined,
    lease: toLease(row),
    startAsked: row.startAsked,
    startAnswered: row.startAnswered,
    startFault: toCause(row.startFault),
    removalAsked: row.removalAsked,
    retiring: row.retiring,
    nextLimits: row.nextLimits === null ? undefined : readLimits(row.nextLimits),
    generationMin: row.generationMin,
  };
}

function toLease({ holder, attempt, leaseExpiresAt }: rows.Pool): Lease | undefined {
  return holder === null || leaseExpiresAt === null
    ? undefined
    : { holder, attempt, expiresAt: leaseExpiresAt };
}
