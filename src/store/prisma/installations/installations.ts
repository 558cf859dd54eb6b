import { installationNotFound } from "../../../domain/fault.ts";
import { InstallationId } from "../../../domain/ids.ts";
import type { InstallationRows } from "../../contracts/installations.ts";
import { type Database, jsonText } from "../client/database.ts";
import { PLACE_AT, type PlacedRow, pageSql, toPage } from "../client/page.ts";
import { writeCause } from "../client/storable-cause.ts";
import { Prisma } from "../generated/client.ts";
import { acceptChange } from "./accept-change.ts";
import { acceptInstall } from "./accept-install.ts";
import { acceptUninstall } from "./accept-uninstall.ts";
import { toInstallation } from "./installation-row.ts";
import { publishReady, publishRemoved } from "./publication.ts";

export function createInstallationRows(db: Database): InstallationRows {
  return {
    ...createReads(db),
    acceptInstall: (request) => db.transaction((tx) => acceptInstall(tx, request, db.tenantDefaults)),
    acceptUninstall: (id, request = {}) => db.transaction((tx) => acceptUninstall(tx, id, request)),
    acceptChange: (request) => db.transaction((tx) => acceptChange(tx, request)),
    publishReady: (id, attempt, published = {}) =>
      db.transaction((tx) => publishReady(tx, { id, attempt }, published)),
    publishRemoved: (id, attempt) => db.transaction((tx) => publishRemoved(tx, { id, attempt })),
    setState: (id, state, why) =>
      writeCause(why, (cause) =>
        db.run(async (prisma) => {
          // One that is being removed keeps its state: the caller has seen an older one.
          await prisma.$executeRaw`
            UPDATE berth_installations SET state = ${state}, updated_at = clock_timestamp(),
              cause = ${jsonText(cause)}::jsonb
            WHERE id = ${id}::uuid AND (desired <> 'removed' OR ${state} = 'removing')`;
          assertThere(await prisma.installation.count({ where: { id } }), id);
        }),
      ),
    setNextPool: (id, poolKey) =>
      db.run(async (prisma) => {
        const { count } = await prisma.installation.updateMany({
          where: { id },
          data: { nextPoolKey: poolKey },
        });
        assertThere(count, id);
      }),
    setPool: (id, poolKey, warnings) =>
      db.run(async (prisma) => {
        const changed = await prisma.$executeRaw`
          UPDATE berth_installations SET pool_key = ${poolKey}, warnings = ${jsonText(warnings)}::jsonb,
            updated_at = clock_timestamp()
          WHERE id = ${id}::uuid`;
        assertThere(changed, id);
      }),
  };
}

function createReads(
  db: Database,
): Pick<InstallationRows, "find" | "findByPlugin" | "isPublished" | "list" | "changedSince"> {
  /** The mark that is older than the answer with this time. */
  const marks = new WeakMap<Date, string>();
  return {
    find: (id) =>
      db.run(async (prisma) => {
        const row = await prisma.installation.findUnique({ where: { id } });
        return row === null ? undefined : toInstallation(row);
      }),
    isPublished: (id) =>
      db.run(async (prisma) => (await prisma.pluginInstallation.count({ where: { id } })) > 0),
    findByPlugin: (tenantId, pluginId) =>
      db.run(async (prisma) => {
        const row = await prisma.installation.findUnique({
          where: { tenantId_pluginId: { tenantId, pluginId } },
        });
        return row === null ? undefined : toInstallation(row);
      }),
    list: ({ tenantId, poolKey }, page) =>
      db.run(async (prisma) => {
        const mine = tenantId === undefined ? Prisma.empty : Prisma.sql`AND tenant_id = ${tenantId}::uuid`;
        const pooled = poolKey === undefined ? Prisma.empty : Prisma.sql`AND pool_key = ${poolKey}`;
        const placed = await prisma.$queryRaw<PlacedRow[]>`
          SELECT id, ${PLACE_AT} FROM berth_installations
          WHERE true ${mine} ${pooled} ${pageSql(page, Prisma.sql`id`, Prisma.sql`uuid`)}`;
        const rows = await prisma.installation.findMany({
          where: { id: { in: placed.map(({ id }) => id) } },
        });
        return toPage(placed, page, new Map(rows.map((row) => [row.id, row])), toInstallation);
      }),
    changedSince: async (since) => {
      const mark = await db.watch.mark("installations");
      if (since !== undefined && marks.get(since) === mark) return { items: [], removed: [], at: since };
      return await db.run(async (prisma) => {
        // The time is read first, and precedes every running transaction: the next call sees what these have written but
        // not committed yet.
        const [moment] = await prisma.$queryRaw<{ at: Date }[]>`
          SELECT least(now(), (SELECT min(xact_start) FROM pg_stat_activity
            WHERE datname = current_database() AND pid <> pg_backend_pid())) AS at`;
        if (moment === undefined) throw new Error("the database did not tell the time");
        const where = since === undefined ? {} : { updatedAt: { gte: since } };
        const items = await prisma.installation.findMany({ where, orderBy: { createdAt: "desc" } });
        const removed =
          since === undefined
            ? []
            : await prisma.removedInstallation.findMany({ where: { removedAt: { gte: since } } });
        marks.set(moment.at, mark);
        return {
          items: items.map(toInstallation),
          removed: removed.map(({ id }) => InstallationId.parse(id)),
          at: moment.at,
        };
      });
    },
  };
}

function assertThere(rows: number, id: string): void {
  if (rows === 0) throw installationNotFound(id);
}
