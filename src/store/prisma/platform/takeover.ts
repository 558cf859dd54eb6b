/**
 * Installations of an earlier daemon. Its tables get the same rows as for any install; `berth_takeovers` has the order of
 * need and the progress, because a call must find the place of its installation there.
 */
import { InstallationId, TaskId, TenantId } from "../../../domain/ids.ts";
import { storableJson } from "../../../util/storable.ts";
import type { LeftAlone, TakeoverRows } from "../../contracts/takeover.ts";
import { type Database, jsonText, type Tx } from "../client/database.ts";
import { writeCause } from "../client/storable-cause.ts";
import { Prisma, type PrismaClient } from "../generated/client.ts";
import { insertPackage, makeSureOfDeclaration } from "../packages/packages.ts";
import { endTask } from "../tasks/task-writes.ts";
import { adopt } from "./adoption.ts";
import { endDaemonTasks } from "./daemon-tasks.ts";

export function createTakeoverRows(db: Database): TakeoverRows {
  return {
    ...createReads(db),
    adopt: (page) => db.transaction((tx) => adopt(tx, page)),
    endDaemonTasks: (limit) => db.transaction((tx) => endDaemonTasks(tx, limit)),
    keepPackage: (pkg, granted) => db.transaction((tx) => keepPackage(tx, pkg, granted)),
    fail: (identifier, why) =>
      writeCause(why, (cause) => db.transaction((tx) => fail(tx, identifier, cause))),
    releaseTasks: (bounds) => db.transaction((tx) => releaseTasks(tx, bounds)),
    raise: (id) =>
      db.run(async (prisma) => {
        await prisma.$executeRaw`
          UPDATE berth_takeovers SET needed_at = clock_timestamp()
          WHERE installation_id = ${id}::uuid AND needed_at IS NULL`;
        const [place] = await prisma.$queryRaw<{ place: bigint; of: bigint }[]>`
          SELECT place, "of" FROM (
            SELECT k.installation_id, count(*) OVER () AS "of",
              row_number() OVER (ORDER BY ${IN_ORDER}) AS place
            FROM ${UNFINISHED}
          ) AS line WHERE installation_id = ${id}::uuid`;
        return place === undefined ? undefined : { place: Number(place.place), of: Number(place.of) };
      }),
  };
}

/** Takeovers that are not ready yet, with the number of tenants that wait for the same package. */
const UNFINISHED = Prisma.sql`(
  SELECT w.*, t.holder, t.claimable_at, count(*) OVER (PARTITION BY w.identifier) AS tenants
  FROM berth_takeovers w
  JOIN berth_tasks t ON t.id = w.task_id AND t.finished_at IS NULL
) AS k`;
/** Takeovers of one package are adjacent: the first one builds the image of all. */
const BY_NEED = Prisma.sql`k.needed_at, k.tenants DESC, k.identifier, k.installation_id`;
const IN_ORDER = Prisma.sql`k.released_at, ${BY_NEED}`;

function createReads(
  db: Database,
): Pick<TakeoverRows, "isDue" | "leftAlone" | "unread" | "declared" | "arrived" | "progress"> {
  return {
    isDue: () => db.watch.hasWork("takeover"),
    leftAlone: () => db.run(leftAlone),
    unread: (limit) =>
      db.run(async (prisma) => {
        const rows = await prisma.$queryRaw<{ identifier: string }[]>`
          SELECT k.identifier FROM ${UNFINISHED} WHERE k.read_at IS NULL
          GROUP BY k.identifier ORDER BY min(k.needed_at), count(*) DESC, k.identifier LIMIT ${limit}`;
        return rows.map(({ identifier }) => identifier);
      }),
    declared: (after, limit) =>
      db.run(async (prisma) => {
        const rows = await prisma.$queryRaw<{ identifier: string }[]>`
          SELECT d.plugin_unique_identifier AS identifier FROM plugin_declarations d
          WHERE d.plugin_unique_identifier > ${after} AND NOT EXISTS (
            SELECT 1 FROM berth_packages p WHERE p.identifier = d.plugin_unique_identifier)
          ORDER BY d.plugin_unique_identifier LIMIT ${limit}`;
        return rows.map(({ identifier }) => identifier);
      }),
    arrived: (limit) =>
      db.run(async (prisma) => {
        const rows = await prisma.$queryRaw<{ id: string; tenant_id: string; identifier: string }[]>`
          SELECT i.id, i.tenant_id, i.identifier FROM berth_takeovers k
          JOIN berth_installations i ON i.id = k.installation_id AND i.identifier = k.identifier
          WHERE k.read_at IS NULL AND i.state = 'failed' AND i.desired = 'enabled'
            AND EXISTS (SELECT 1 FROM berth_packages p WHERE p.identifier = i.identifier)
            AND NOT EXISTS (SELECT 1 FROM berth_tasks t WHERE t.installation_id = i.id AND t.finished_at IS NULL)
          ORDER BY i.id LIMIT ${limit}`;
        return rows.map(({ id, tenant_id, identifier }) => ({
          installationId: InstallationId.parse(id),
          tenantId: TenantId.parse(tenant_id),
          identifier,
        }));
      }),
    progress: () => db.run(progress),
  };
}

async function leftAlone(prisma: PrismaClient): Promise<LeftAlone> {
  const runtimes = await prisma.$queryRaw<{ runtime: string; rows: bigint }[]>`
    SELECT runtime_type AS runtime, count(*) AS rows FROM plugin_installations
    WHERE coalesce(runtime_type, '') NOT IN ('', 'local') GROUP BY runtime_type ORDER BY runtime_type`;
  const [rest] = await prisma.$queryRaw<{ incomplete: bigint; undeclared: bigint }[]>`
    SELECT count(*) FILTER (WHERE i.tenant_id IS NULL OR coalesce(i.plugin_id, '') = ''
        OR coalesce(i.plugin_unique_identifier, '') = '') AS incomplete,
      count(DISTINCT i.plugin_unique_identifier) FILTER (WHERE i.plugin_unique_identifier <> '' AND NOT EXISTS (
        SELECT 1 FROM plugin_declarations d
        WHERE d.plugin_unique_identifier = i.plugin_unique_identifier)) AS undeclared
    FROM plugin_installations i WHERE coalesce(i.runtime_type, '') IN ('', 'local')`;
  return {
    runtimes: Object.fromEntries(runtimes.map(({ runtime, rows }) => [runtime, Number(rows)])),
    incomplete: Number(rest?.incomplete ?? 0),
    withoutDeclaration: Number(rest?.undeclared ?? 0),
  };
}

async function progress(prisma: PrismaClient) {
  const [row] = await prisma.$queryRaw<
    Record<"total" | "unread" | "waiting" | "building" | "ready", bigint>[]
  >`
    SELECT count(*) AS total,
      count(*) FILTER (WHERE t.id IS NOT NULL AND k.read_at IS NULL) AS unread,
      count(*) FILTER (WHERE t.id IS NOT NULL AND k.read_at IS NOT NULL AND k.released_at IS NULL) AS waiting,
      count(*) FILTER (WHERE t.id IS NOT NULL AND k.released_at IS NOT NULL) AS building,
      count(*) FILTER (WHERE t.id IS NULL AND i.state NOT IN ('installing', 'failed')) AS ready
    FROM berth_takeovers k
    JOIN berth_installations i ON i.id = k.installation_id
    LEFT JOIN berth_tasks t ON t.id = k.task_id AND t.finished_at IS NULL`;
  const number = (key: keyof NonNullable<typeof row>) => Number(row?.[key] ?? 0);
  const [total, unread, waiting] = [number("total"), number("unread"), number("waiting")];
  const [building, ready] = [number("building"), number("ready")];
  return { total, unread, waiting, building, ready, failed: total - unread - waiting - building - ready };
}

async function keepPackage(
  tx: Tx,
  ...[pkg, granted]: Parameters<TakeoverRows["keepPackage"]>
): Promise<void> {
  const { identifier, pluginId } = pkg;
  await insertPackage(tx, pkg, { operatorKept: true });
  await makeSureOfDeclaration(tx, { identifier, pluginId, declaration: storableJson(pkg.declaration) });
  await tx.$executeRaw`
    UPDATE berth_installations i SET limits_asked = ${jsonText(granted.limitsAsked)}::jsonb,
      limits_granted = ${jsonText(granted.limits)}::jsonb,
      warnings = ${jsonText(granted.warnings)}::jsonb, updated_at = clock_timestamp()
    FROM berth_takeovers k
    WHERE k.installation_id = i.id AND k.identifier = ${identifier} AND k.read_at IS NULL
      AND i.identifier = ${identifier} AND i.state = 'installing'`;
  await tx.$executeRaw`
    UPDATE berth_takeovers SET read_at = clock_timestamp() WHERE identifier = ${identifier} AND read_at IS NULL`;
}

/** Number of installations that one transaction fails at most: each costs a dozen statements. */
const FAILED_AT_ONCE = 50;

async function fail(tx: Tx, ...[identifier, cause]: Parameters<TakeoverRows["fail"]>): Promise<number> {
  const rows = await tx.$queryRaw<{ id: string; installation_id: string }[]>`
    SELECT t.id, k.installation_id FROM berth_takeovers k JOIN berth_tasks t ON t.id = k.task_id
    WHERE k.identifier = ${identifier} AND k.read_at IS NULL AND t.finished_at IS NULL AND t.holder IS NULL
    ORDER BY t.id LIMIT ${FAILED_AT_ONCE} FOR UPDATE OF t`;
  for (const { id, installation_id: installationId } of rows) {
    await endTask(tx, id, { type: "end", state: "failed", cause });
    await tx.$executeRaw`
      UPDATE berth_installations SET state = 'failed', cause = ${jsonText(cause)}::jsonb,
        updated_at = clock_timestamp()
      WHERE id = ${installationId}::uuid AND desired <> 'removed'`;
  }
  return rows.length;
}

async function releaseTasks(tx: Tx, { neededMax, othersMax }: Parameters<TakeoverRows["releaseTasks"]>[0]) {
  // One worker at a time releases tasks: every database has this row, and locks on it are short.
  await tx.$queryRaw`SELECT 1 AS one FROM berth_meta WHERE key = 'instance_id' FOR UPDATE`;
  // An upgrade that the platform requested waits for the install.
  await tx.$executeRaw`
    UPDATE berth_takeovers k SET needed_at = clock_timestamp()
    WHERE k.needed_at IS NULL AND EXISTS (SELECT 1 FROM berth_task_waits w WHERE w.waits_for = k.task_id)`;
  const [busy] = await tx.$queryRaw<{ needed: bigint; others: bigint }[]>`
    SELECT count(*) FILTER (WHERE k.needed_at IS NOT NULL) AS needed,
      count(*) FILTER (WHERE k.needed_at IS NULL) AS others
    FROM ${UNFINISHED}
    WHERE k.released_at IS NOT NULL AND (k.holder IS NOT NULL OR k.claimable_at <= clock_timestamp())`;
  const next = (kind: Prisma.Sql, free: number) => tx.$queryRaw<{ task_id: string }[]>`
    UPDATE berth_takeovers SET released_at = clock_timestamp() WHERE installation_id IN (
      SELECT k.installation_id FROM ${UNFINISHED}
      WHERE k.read_at IS NOT NULL AND k.released_at IS NULL AND ${kind}
      ORDER BY ${BY_NEED} LIMIT ${Math.max(0, free)})
    RETURNING task_id`;
  const released = [
    ...(await next(Prisma.sql`k.needed_at IS NOT NULL`, neededMax - Number(busy?.needed ?? 0))),
    ...(await next(Prisma.sql`k.needed_at IS NULL`, othersMax - Number(busy?.others ?? 0))),
  ];
  if (released.length === 0) return [];
  const ids = Prisma.join(released.map(({ task_id }) => Prisma.sql`${task_id}::uuid`));
  const tasks = await tx.$queryRaw<{ id: string; attempt: number }[]>`
    UPDATE berth_tasks SET claimable_at = clock_timestamp()
    WHERE id IN (${ids}) AND finished_at IS NULL RETURNING id, attempt`;
  return tasks.map(({ id, attempt }) => ({ id: TaskId.parse(id), attempt }));
}
