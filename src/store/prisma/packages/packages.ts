import { packageNotUploaded } from "../../../domain/fault.ts";
import type { LimitsAsked } from "../../../domain/limits.ts";
import type { DeclarationJson, Package } from "../../../domain/package.ts";
import type { TenantQuotas } from "../../../domain/tenant-quotas.ts";
import { storableJson } from "../../../util/storable.ts";
import type { PackageStoreRows, StoredPackage } from "../../contracts/packages.ts";
import { type Database, jsonValue, type Tx, uuid7 } from "../client/database.ts";
import { PLACE_AT, type PlacedRow, pageSql, toPage } from "../client/page.ts";
import type * as rows from "../generated/client.ts";
import { Prisma } from "../generated/client.ts";
import { noteUpgradesDue } from "../installations/upgrades.ts";
import { holdKey, holdTenant, writeEvent } from "../tenants/audit.ts";
import { checkDisk, serializeTenant } from "../tenants/tenant-quotas.ts";

type Uploader = Parameters<PackageStoreRows["put"]>[1];

export function createPackageRows(db: Database): PackageStoreRows {
  return {
    put: (pkg, uploader) => db.transaction((tx) => putPackage(tx, pkg, uploader, db.tenantDefaults)),
    find: (identifier) =>
      db.run(async (prisma) => {
        const row = await prisma.package.findUnique({ where: { identifier } });
        return row === null ? undefined : toPackage(row);
      }),
    list: ({ tenantId, pluginId }, page) =>
      db.run(async (prisma) => {
        const mine = tenantId === undefined ? Prisma.empty : Prisma.sql`AND ${visibleTo(tenantId)}`;
        const named = pluginId === undefined ? Prisma.empty : Prisma.sql`AND plugin_id = ${pluginId}`;
        const placed = await prisma.$queryRaw<PlacedRow[]>`
          SELECT identifier AS id, ${PLACE_AT} FROM berth_packages
          WHERE true ${mine} ${named} ${pageSql(page, Prisma.sql`identifier`, Prisma.sql`text`)}`;
        const rows = await prisma.package.findMany({
          where: { identifier: { in: placed.map(({ id }) => id) } },
        });
        return toPage(placed, page, new Map(rows.map((row) => [row.identifier, row])), toPackage);
      }),
    isVisibleTo: (identifier, tenantId) =>
      db.run(async (prisma) => {
        const found = await prisma.$queryRaw<unknown[]>`
          SELECT 1 AS one FROM berth_packages WHERE identifier = ${identifier} AND ${visibleTo(tenantId)}`;
        return found.length > 0;
      }),
    isFromMarketplace: (identifier) =>
      db.run(
        async (prisma) => (await prisma.package.count({ where: { identifier, fromMarketplace: true } })) > 0,
      ),
  };
}

/** `put` within another transaction. */
export async function putPackage(
  tx: Tx,
  pkg: Package,
  { tenantId, by, fromMarketplace, upgrade = false }: Uploader,
  defaults: TenantQuotas,
): Promise<{ readonly created: boolean; readonly stored: StoredPackage }> {
  if (tenantId !== undefined) {
    await serializeTenant(tx, tenantId);
    await holdTenant(tx, tenantId);
  }
  await holdKey(tx, by);
  const { identifier, pluginId } = pkg;
  const declaration = storableJson(pkg.declaration);
  if (tenantId !== undefined && (await tx.packageUploader.count({ where: { identifier, tenantId } })) === 0)
    await checkDisk(tx, { tenantId, moreBytes: pkg.bytes }, defaults);
  const count = await insertPackage(tx, pkg, { operatorKept: tenantId === undefined });
  if (fromMarketplace === true) await tx.package.update({ where: { identifier }, data: { fromMarketplace } });
  if (count === 0 && tenantId === undefined)
    await tx.package.updateMany({ where: { identifier }, data: { operatorKept: true } });
  await makeSureOfDeclaration(tx, { identifier, pluginId, declaration });
  const shown =
    tenantId === undefined
      ? { count: 0 }
      : await tx.packageUploader.createMany({ data: { identifier, tenantId }, skipDuplicates: true });
  if (count + shown.count > 0)
    await writeEvent(tx, { kind: "package.upload", by, tenantId, subject: identifier, result: "done" });
  await noteUpgradesDue(tx, { identifier, pluginId, tenantId, isAsked: upgrade, by });
  const stored = toPackage(await tx.package.findUniqueOrThrow({ where: { identifier } }));
  return { created: count > 0, stored };
}

/** Writes the row where it is missing; answers how many rows it wrote. */
export async function insertPackage(
  tx: Tx,
  pkg: Package,
  { operatorKept }: { readonly operatorKept: boolean },
): Promise<number> {
  const { identifier, pluginId, author, name, version, checksum, dialect } = pkg;
  const { count } = await tx.package.createMany({
    data: {
      identifier,
      pluginId,
      author,
      name,
      version,
      checksum,
      dialect,
      operatorKept,
      declaration: storableJson(pkg.declaration),
      bytes: pkg.bytes,
      providers: jsonValue(pkg.providers),
      runner: jsonValue(pkg.runner),
      limitsAsked: jsonValue(pkg.limitsAsked),
      dependencies: jsonValue(pkg.dependencies),
      warnings: jsonValue(pkg.warnings),
      search: searchText(pkg),
    },
    skipDuplicates: true,
  });
  return count;
}

function visibleTo(tenantId: string): Prisma.Sql {
  return Prisma.sql`(
    EXISTS (SELECT 1 FROM berth_package_uploaders u
            WHERE u.identifier = berth_packages.identifier AND u.tenant_id = ${tenantId}::uuid)
    OR EXISTS (SELECT 1 FROM berth_installations i
               WHERE i.tenant_id = ${tenantId}::uuid
                 AND berth_packages.identifier IN (i.identifier, i.previous_identifier)))`;
}

/**
 * Locks the package until this transaction ends, so that it is not removed before its new user is visible. Throws
 * `package_not_found` where it is gone.
 */
export async function holdPackage(tx: Tx, identifier: string): Promise<void> {
  const held = await tx.$queryRaw<unknown[]>`
    SELECT 1 AS one FROM berth_packages WHERE identifier = ${identifier} FOR SHARE`;
  if (held.length > 0) return;
  throw packageNotUploaded(identifier);
}

/** The daemon removes this row with the last reference; an install from a stored package writes it again. */
export async function makeSureOfDeclaration(
  tx: Tx,
  { identifier, pluginId, declaration }: { identifier: string; pluginId: string; declaration: string },
): Promise<void> {
  const now = new Date();
  await tx.pluginDeclaration.createMany({
    data: {
      id: uuid7(),
      createdAt: now,
      updatedAt: now,
      pluginUniqueIdentifier: identifier,
      pluginId,
      declaration,
    },
    skipDuplicates: true,
  });
}

export function toPackage(row: rows.Package): StoredPackage {
  return {
    identifier: row.identifier,
    pluginId: row.pluginId,
    author: row.author,
    name: row.name,
    version: row.version,
    checksum: row.checksum,
    bytes: Number(row.bytes),
    dialect: row.dialect as Package["dialect"],
    declaration: JSON.parse(row.declaration) as DeclarationJson,
    providers: row.providers as unknown as Package["providers"],
    runner: row.runner as unknown as Package["runner"],
    limitsAsked: row.limitsAsked as unknown as LimitsAsked,
    dependencies: row.dependencies as unknown as Package["dependencies"],
    warnings: row.warnings as string[],
    createdAt: row.createdAt,
  };
}

/** The lower-case text that lists are searched in: plugin id, label and description in every language. */
function searchText({ pluginId, declaration }: Pick<Package, "pluginId" | "declaration">): string {
  const texts = ["label", "description"].flatMap((key) => textsOf(declaration[key]));
  // A text column cannot hold U+0000.
  return [pluginId, ...texts].join("\n").replaceAll("\0", "").toLowerCase().slice(0, CHARS_MAX);
}

const CHARS_MAX = 20_000;

function textsOf(value: unknown): string[] {
  if (typeof value === "string") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(textsOf) : [];
}
