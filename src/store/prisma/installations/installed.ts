/**
 * Lists of a tenant's installations and providers. The database applies every filter, so that pages are full; the rows of a
 * page are read afterwards, each table once.
 */

import { REMOTE } from "../../../domain/installation.ts";
import {
  categoryOf,
  type DeclarationJson,
  type Package,
  PROVIDER_KINDS,
  type ProviderKind,
} from "../../../domain/package.ts";
import { pluginStatus, STATUS_RULES } from "../../../domain/plugin-status.ts";
import type { PageRequest } from "../../contracts/answers.ts";
import type {
  Installed,
  InstalledFilter,
  InstalledProvider,
  InstalledRows,
} from "../../contracts/installed.ts";
import { type Database, jsonText } from "../client/database.ts";
import { PLACE_AT, type PlacedRow, pageSql, toPage } from "../client/page.ts";
import type * as rows from "../generated/client.ts";
import { Prisma, type PrismaClient } from "../generated/client.ts";
import { toPool } from "../runtimes/pools.ts";
import { toInstallation } from "./installation-row.ts";

export function createInstalledRows(db: Database): InstalledRows {
  return {
    list: (filter, page) =>
      db.run(async (prisma) => {
        const placed = await placeInstallations(prisma, filter, page);
        const limit = fitting(placed, page);
        const ids = placed.slice(0, limit).map(({ id }) => id);
        const rows = await read(prisma, ids, { declarations: page.declarationBytesMax > 0 });
        return toPage(placed, { limit }, rows, (row) => row);
      }),
    find: (id) => db.run(async (prisma) => (await read(prisma, [id], { declarations: true })).get(id)),
    providers: (filter, page) =>
      db.run(async (prisma) => {
        const placed = await placeProviders(prisma, filter, page);
        const limit = fitting(placed, page);
        const shown = placed.slice(0, limit);
        const ids = shown.map(({ installation }) => installation);
        const rows = await read(prisma, ids, { declarations: true });
        const found = new Map(shown.flatMap((row) => providerOf(row, rows.get(row.installation))));
        return toPage(placed, { limit }, found, (provider) => provider);
      }),
    providerNames: (tenantId, kind) =>
      db.run(async (prisma) => {
        const rows = await prisma.$queryRaw<{ name: string }[]>`
          SELECT i.plugin_id || '/' || (o.provider ->> 'name') AS name FROM ${OFFERS}
          WHERE ${isOffered({ tenantId, kind })} ORDER BY name`;
        return rows.map(({ name }) => name);
      }),
  };
}

interface Placed extends PlacedRow {
  /** Bytes of the declaration; null where there is none. */
  readonly bytes: number | null;
}
interface PlacedProvider extends Placed {
  readonly installation: string;
  readonly kind: ProviderKind;
  readonly name: string;
}
interface BoundedPage extends PageRequest {
  readonly declarationBytesMax: number;
}

function placeInstallations(prisma: PrismaClient, filter: InstalledFilter, page: BoundedPage) {
  return prisma.$queryRaw<Placed[]>`
    SELECT id, bytes, ${PLACE_AT} FROM (
      SELECT i.id, i.created_at, octet_length(p.declaration) AS bytes
      FROM berth_installations i
      LEFT JOIN berth_packages p ON p.identifier = i.identifier
      LEFT JOIN berth_pools o ON o.key = i.pool_key
      WHERE ${Prisma.join(conditions(filter), " AND ")}
    ) AS found
    WHERE true ${pageSql(page, Prisma.sql`id`, Prisma.sql`uuid`)}`;
}

function conditions(filter: InstalledFilter): Prisma.Sql[] {
  const { tenantId, category, state, status, source, pluginId, text } = filter;
  const all = [Prisma.sql`i.tenant_id = ${tenantId}::uuid`];
  if (state !== undefined) all.push(Prisma.sql`i.state = ${state}`);
  if (source !== undefined) all.push(Prisma.sql`i.source = ${source}`);
  if (pluginId !== undefined) all.push(Prisma.sql`i.plugin_id = ${pluginId}`);
  if (category !== undefined) all.push(Prisma.sql`${categorySql()} = ${category}`);
  if (text !== undefined)
    all.push(Prisma.sql`strpos(coalesce(p.search, i.plugin_id), ${text.toLowerCase()}) > 0`);
  if (status !== undefined) {
    const rule: { states: readonly string[]; isIdle?: boolean } = STATUS_RULES[status];
    all.push(Prisma.sql`i.state IN (${Prisma.join(rule.states)})`);
    if (rule.isIdle !== undefined)
      all.push(Prisma.sql`(i.source <> ${REMOTE} AND coalesce(o.state, 'idle') = 'idle') = ${rule.isIdle}`);
  }
  return all;
}

/** The rule of `categoryOf` in SQL, for rows `p` of packages. */
function categorySql(): Prisma.Sql {
  const cases = PROVIDER_KINDS.map(
    (kind) => Prisma.sql`WHEN p.providers @> ${jsonText([{ kind }])}::jsonb THEN ${categoryOf([kind])}`,
  );
  return Prisma.sql`(CASE ${Prisma.join(cases, " ")} ELSE ${categoryOf([])} END)`;
}

const OFFERS = Prisma.sql`berth_installations i
  JOIN berth_packages p ON p.identifier = i.identifier
  CROSS JOIN LATERAL jsonb_array_elements(p.providers) WITH ORDINALITY AS o (provider, place)`;

function isOffered({ tenantId, kind }: { readonly tenantId: string; readonly kind?: ProviderKind }) {
  const ofKind = kind === undefined ? Prisma.empty : Prisma.sql`AND o.provider ->> 'kind' = ${kind}`;
  return Prisma.sql`i.tenant_id = ${tenantId}::uuid AND i.generation > 0 AND i.desired <> 'removed' ${ofKind}`;
}

function placeProviders(
  prisma: PrismaClient,
  filter: Parameters<InstalledRows["providers"]>[0],
  page: BoundedPage,
) {
  // Several providers of one installation are in the order of its package.
  return prisma.$queryRaw<PlacedProvider[]>`
    SELECT id, installation, kind, name, bytes, ${PLACE_AT} FROM (
      SELECT i.id::text || ' ' || (99 - o.place) AS id, i.id AS installation, i.created_at,
        o.provider ->> 'kind' AS kind, o.provider ->> 'name' AS name, octet_length(p.declaration) AS bytes
      FROM ${OFFERS} WHERE ${isOffered(filter)}
    ) AS found
    WHERE true ${pageSql(page, Prisma.sql`id`, Prisma.sql`text`)}`;
}

/** Number of rows on the page: as many as the bytes of their declarations allow, at least one. */
function fitting(placed: readonly Placed[], { limit, declarationBytesMax }: BoundedPage): number {
  if (declarationBytesMax === 0) return limit;
  let bytes = 0;
  const tooMuch = placed.findIndex((row, place) => {
    bytes += row.bytes ?? 0;
    return place > 0 && bytes > declarationBytesMax;
  });
  return tooMuch < 0 ? limit : Math.min(limit, tooMuch);
}

/** Reads by id; rows that were removed in between are missing. */
async function read(
  prisma: PrismaClient,
  ids: readonly string[],
  { declarations }: { readonly declarations: boolean },
): Promise<Map<string, Installed>> {
  const rows = await prisma.installation.findMany({ where: { id: { in: [...new Set(ids)] } } });
  const stored = await prisma.package.findMany({
    where: { identifier: { in: rows.map(({ identifier }) => identifier) } },
    select: { identifier: true, providers: true, declaration: declarations },
  });
  const pools = await prisma.pool.findMany({
    where: { key: { in: rows.flatMap(({ poolKey }) => poolKey ?? []) } },
  });
  const packages = new Map(stored.map((row) => [row.identifier, toOffer(row)]));
  const states = new Map(pools.map((row) => [row.key, toPool(row).state]));
  return new Map(
    rows.map((row) => {
      const installation = toInstallation(row);
      const { kinds, declaration } = packages.get(row.identifier) ?? { kinds: [], declaration: undefined };
      // A plugin that its author runs has no pool: it is there for as long as it runs.
      const poolState = row.source === REMOTE ? "ready" : states.get(row.poolKey ?? "");
      const status = pluginStatus(installation.state, poolState);
      return [row.id, { installation, category: categoryOf(kinds), status, declaration }];
    }),
  );
}

function providerOf(
  { id, kind, name }: PlacedProvider,
  installed: Installed | undefined,
): [string, InstalledProvider][] {
  if (installed === undefined) return [];
  const { installation, status, declaration } = installed;
  return [[id, { kind, name, installation, status, declaration: declaration?.[kind] }]];
}

/** The part of a package in lists; the declaration only where it was selected. */
function toOffer(row: Pick<rows.Package, "providers"> & { readonly declaration?: string }) {
  const providers = row.providers as unknown as Package["providers"];
  const declaration =
    row.declaration === undefined ? undefined : (JSON.parse(row.declaration) as DeclarationJson);
  return { kinds: providers.map(({ kind }) => kind), declaration };
}
