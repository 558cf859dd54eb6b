/**
 * The daemon's table of endpoints. Each write locks the installation's row first, so that its two counters are counted from
 * committed rows.
 */
import { randomInt } from "node:crypto";
import type { Actor, AuditKind } from "../../../domain/audit.ts";
import { EndpointId } from "../../../domain/endpoint.ts";
import { Fault } from "../../../domain/fault.ts";
import { TenantId } from "../../../domain/ids.ts";
import { isMap, type JsonMap } from "../../../domain/json.ts";
import type {
  EndpointAt,
  EndpointChange,
  EndpointFilter,
  EndpointRecord,
  EndpointRows,
  NewEndpoint,
} from "../../contracts/endpoints.ts";
import { type Database, isUniqueViolation, type Tx, uuid7 } from "../client/database.ts";
import { PLACE_AT, type PlacedRow, pageSql, toPage } from "../client/page.ts";
import type * as rows from "../generated/client.ts";
import { Prisma } from "../generated/client.ts";
import { holdKey, holdTenant, writeEvent } from "../tenants/audit.ts";

const HOOK_ID_LENGTH = 16;
const HOOK_ID_TRIES = 3;
/** A column that the daemon writes and nothing reads. */
const EXPIRES_AT = new Date("2050-01-01T00:00:00Z");

export function createEndpointRows(db: Database): EndpointRows {
  return {
    ...createReads(db),
    newId: () => EndpointId.parse(uuid7()),
    create: async (endpoint) => {
      for (let tries = 1; ; tries += 1) {
        try {
          return await db.transaction((tx) => create(tx, endpoint));
        } catch (error) {
          if (!isUniqueViolation(error) || tries >= HOOK_ID_TRIES) throw error;
        }
      }
    },
    update: (change) => db.transaction((tx) => update(tx, change)),
    setEnabled: (change) => db.transaction((tx) => setEnabled(tx, change)),
    remove: (at) => db.transaction((tx) => remove(tx, at)),
    reseal: ({ id, settings, expected }) =>
      db.run(async (prisma) => {
        const { count } = await prisma.endpoint.updateMany({
          where: { id, settings: expected },
          data: { settings: JSON.stringify(settings) },
        });
        return count > 0;
      }),
  };
}

function createReads(
  db: Database,
): Pick<EndpointRows, "find" | "findByHook" | "list" | "listPage" | "sealedOtherwise"> {
  return {
    find: ({ tenantId, id }) =>
      db.run(async (prisma) => toRecord(await prisma.endpoint.findFirst({ where: { id, tenantId } }))),
    findByHook: (hookId) =>
      db.run(async (prisma) => toRecord(await prisma.endpoint.findUnique({ where: { hookId } }))),
    list: (filter, page) =>
      db.run(async (prisma) => {
        const placed = await prisma.$queryRaw<PlacedRow[]>`
          SELECT id, ${PLACE_AT} FROM endpoints
          WHERE ${matching(filter)} AND created_at IS NOT NULL
            ${pageSql(page, Prisma.sql`id`, Prisma.sql`uuid`)}`;
        const found = await prisma.endpoint.findMany({ where: { id: { in: placed.map(({ id }) => id) } } });
        return toPage(placed, page, recordsById(found), (record) => record);
      }),
    listPage: (filter, { number, size }) =>
      db.run(async (prisma) => {
        const limit = size < 1 ? PAGE_MAX : Math.min(size, PAGE_MAX);
        const found = await prisma.endpoint.findMany({
          where: filter,
          orderBy: [{ createdAt: "desc" }, { id: "desc" }],
          skip: Math.max(0, (number - 1) * limit),
          take: limit,
        });
        return found.flatMap((row) => toRecord(row) ?? []);
      }),
    sealedOtherwise: (keyId, after, limit) =>
      db.run(async (prisma) => {
        const found = await prisma.$queryRaw<{ id: string }[]>`
          SELECT id FROM endpoints
          WHERE settings LIKE '%"berth:1:%'
            AND replace(settings, ${`"berth:1:${keyId}:`}, '') LIKE '%"berth:1:%'
            ${after === undefined ? Prisma.empty : Prisma.sql`AND id > ${after}::uuid`}
          ORDER BY id LIMIT ${limit}`;
        const whole = await prisma.endpoint.findMany({
          where: { id: { in: found.map(({ id }) => id) } },
          orderBy: { id: "asc" },
        });
        return whole.flatMap((row) => toRecord(row) ?? []);
      }),
  };
}

const PAGE_MAX = 100;

function matching({ tenantId, pluginId }: EndpointFilter): Prisma.Sql {
  const ofPlugin = pluginId === undefined ? Prisma.empty : Prisma.sql`AND plugin_id = ${pluginId}`;
  return Prisma.sql`tenant_id = ${tenantId} ${ofPlugin}`;
}

async function create(tx: Tx, endpoint: NewEndpoint): Promise<EndpointRecord> {
  const { id, tenantId, pluginId, userId, name, settings, by } = endpoint;
  const owner = await hold(tx, { tenantId, pluginId, by });
  if (owner === undefined)
    throw new Fault("installation_not_found", `The tenant has no installation of ${pluginId}.`, {
      details: { field: "plugin_id", value: pluginId, accepted: "a plugin that is installed" },
    });
  const now = new Date();
  const row = await tx.endpoint.create({
    data: {
      id,
      tenantId,
      pluginId,
      userId,
      name,
      hookId: newHookId(),
      enabled: true,
      createdAt: now,
      updatedAt: now,
      expiredAt: EXPIRES_AT,
      settings: JSON.stringify(settings),
    },
  });
  return await finish(tx, row, { owner, by, kind: "endpoint.create" });
}

async function update(tx: Tx, change: EndpointChange): Promise<EndpointRecord | undefined> {
  const { name, settings, expected, by } = change;
  const found = await holdOne(tx, change, by);
  if (found === undefined || (found.row.settings ?? "") !== expected) return undefined;
  const row = await tx.endpoint.update({
    where: { id: found.row.id },
    data: { name, settings: JSON.stringify(settings), updatedAt: new Date() },
  });
  return await finish(tx, row, { ...found, by, kind: "endpoint.update" });
}

async function setEnabled(
  tx: Tx,
  change: EndpointAt & { readonly enabled: boolean; readonly by?: Actor },
): Promise<EndpointRecord | undefined> {
  const { enabled, by } = change;
  const found = await holdOne(tx, change, by);
  if (found === undefined) return undefined;
  if (found.row.enabled === enabled) return toRecord(found.row);
  const row = await tx.endpoint.update({
    where: { id: found.row.id },
    data: { enabled, updatedAt: new Date() },
  });
  return await finish(tx, row, { ...found, by, kind: enabled ? "endpoint.enable" : "endpoint.disable" });
}

async function remove(tx: Tx, at: EndpointAt & { readonly by?: Actor }): Promise<EndpointRecord | undefined> {
  const found = await holdOne(tx, at, at.by);
  if (found === undefined) return undefined;
  await tx.endpoint.delete({ where: { id: found.row.id } });
  return await finish(tx, found.row, { ...found, by: at.by, kind: "endpoint.remove" });
}

interface Held {
  readonly row: rows.Endpoint;
  /** Id of the installation's row; undefined where the plugin is no longer installed. */
  readonly owner: string | undefined;
}

/** Locks the row, after the rows that are locked before it. */
async function holdOne(
  tx: Tx,
  { id, tenantId }: EndpointAt,
  by: Actor | undefined,
): Promise<Held | undefined> {
  const seen = await tx.endpoint.findFirst({ where: { id, tenantId } });
  if (seen === null) return undefined;
  const owner = await hold(tx, { tenantId, pluginId: seen.pluginId ?? "", by });
  await tx.$queryRaw`SELECT id FROM endpoints WHERE id = ${id}::uuid FOR UPDATE`;
  const row = await tx.endpoint.findFirst({ where: { id, tenantId } });
  return row === null ? undefined : { row, owner };
}

/** Locks tenant, key and installation, always in this order, so that writes do not deadlock. */
async function hold(
  tx: Tx,
  { tenantId, pluginId, by }: Required<EndpointFilter> & { readonly by: Actor | undefined },
): Promise<string | undefined> {
  await holdTenant(tx, tenantId);
  await holdKey(tx, by);
  const held = await tx.$queryRaw<{ id: string }[]>`
    SELECT id FROM plugin_installations WHERE tenant_id = ${tenantId}::uuid AND plugin_id = ${pluginId} FOR UPDATE`;
  return held[0]?.id;
}

async function finish(
  tx: Tx,
  row: rows.Endpoint,
  said: { readonly owner: string | undefined; readonly by: Actor | undefined; readonly kind: AuditKind },
): Promise<EndpointRecord> {
  const { owner, by, kind } = said;
  const { id, tenantId, pluginId } = row;
  if (owner !== undefined)
    await tx.$executeRaw`
      UPDATE plugin_installations SET endpoints_setups = counted.setups, endpoints_active = counted.active
      FROM (
        SELECT count(*) AS setups, count(*) FILTER (WHERE enabled) AS active FROM endpoints
        WHERE tenant_id = ${tenantId} AND plugin_id = ${pluginId}
      ) AS counted
      WHERE id = ${owner}::uuid`;
  const of = { tenantId, ...(owner !== undefined && { installationId: owner }) };
  await writeEvent(tx, { kind, by, ...of, subject: id, result: "done" });
  const record = toRecord(row);
  if (record === undefined) throw new Error(`the endpoint ${id} has no tenant`);
  return record;
}

/** Long enough that nobody guesses it: the hook id is all that protects the URL. */
function newHookId(): string {
  return Array.from({ length: HOOK_ID_LENGTH }, () => randomInt(36).toString(36)).join("");
}

function recordsById(found: readonly rows.Endpoint[]): Map<string, EndpointRecord> {
  return new Map(found.flatMap((row) => toRecord(row) ?? []).map((record) => [record.id, record]));
}

/** Undefined for a row without a tenant or a hook id. */
function toRecord(row: rows.Endpoint | null): EndpointRecord | undefined {
  const tenantId = TenantId.safeParse(row?.tenantId);
  if (row === null || !tenantId.success || row.hookId === null || row.pluginId === null) return undefined;
  return {
    id: EndpointId.parse(row.id),
    hookId: row.hookId,
    tenantId: tenantId.data,
    pluginId: row.pluginId,
    userId: row.userId ?? "",
    name: row.name ?? "",
    enabled: row.enabled === true,
    settings: parseSettings(row.settings),
    revision: row.settings ?? "",
    createdAt: row.createdAt ?? new Date(0),
    updatedAt: row.updatedAt ?? new Date(0),
  };
}

/** Anything but an object counts as empty: a malformed row must not fail a list. */
function parseSettings(text: string | null): JsonMap {
  try {
    const value: unknown = JSON.parse(text ?? "{}");
    return isMap(value) ? value : {};
  } catch {
    return {};
  }
}
