import { z } from "zod";
import type { Actor } from "../../../domain/audit.ts";
import { PluginDependency } from "../../../domain/dependency.ts";
import { bundleNotFound, Fault } from "../../../domain/fault.ts";
import type { TenantQuotas } from "../../../domain/tenant-quotas.ts";
import { storableJson } from "../../../util/storable.ts";
import type { BundleRows, StoredBundle } from "../../contracts/bundles.ts";
import type { Database, Tx } from "../client/database.ts";
import { PLACE_AT, type PlacedRow, pageSql, toPage } from "../client/page.ts";
import type * as rows from "../generated/client.ts";
import { Prisma } from "../generated/client.ts";
import { holdKey, holdTenant, writeEvent } from "../tenants/audit.ts";
import { serializeTenant } from "../tenants/tenant-quotas.ts";
import { putPackage } from "./packages.ts";

type Upload = Parameters<BundleRows["put"]>[0];
type Uploader = Parameters<BundleRows["put"]>[1];

export function createBundleRows(db: Database): BundleRows {
  return {
    put: (upload, uploader) => db.transaction((tx) => put(tx, upload, uploader, db.tenantDefaults)),
    find: (identifier) =>
      db.run(async (prisma) => {
        const row = await prisma.bundle.findUnique({ where: { identifier } });
        return row === null ? undefined : toBundle(row);
      }),
    list: ({ tenantId }, page) =>
      db.run(async (prisma) => {
        const mine = tenantId === undefined ? Prisma.empty : Prisma.sql`AND ${uploadedBy(tenantId)}`;
        const placed = await prisma.$queryRaw<PlacedRow[]>`
          SELECT identifier AS id, ${PLACE_AT} FROM berth_bundles
          WHERE true ${mine} ${pageSql(page, Prisma.sql`identifier`, Prisma.sql`text`)}`;
        const found = await prisma.bundle.findMany({
          where: { identifier: { in: placed.map(({ id }) => id) } },
        });
        return toPage(placed, page, new Map(found.map((row) => [row.identifier, row])), toBundle);
      }),
    isVisibleTo: (identifier, tenantId) =>
      db.run(async (prisma) => {
        const found = await prisma.bundleUploader.count({ where: { identifier, tenantId } });
        return found > 0;
      }),
    remove: (identifier, by) => db.transaction((tx) => remove(tx, identifier, by)),
  };
}

async function remove(tx: Tx, identifier: string, by: Actor | undefined): Promise<void> {
  await holdKey(tx, by);
  const task = await tx.task.findFirst({ where: { kind: "bundle", identifier, finishedAt: null } });
  if (task !== null)
    throw new Fault("conflict", `The bundle ${identifier} is being installed.`, {
      details: { field: "identifier", value: identifier, task_id: task.id },
    });
  await tx.bundlePackage.deleteMany({ where: { bundle: identifier } });
  await tx.bundleUploader.deleteMany({ where: { identifier } });
  const { count } = await tx.bundle.deleteMany({ where: { identifier } });
  if (count === 0) throw bundleNotFound(identifier);
  await writeEvent(tx, { kind: "bundle.remove", by, subject: identifier, result: "done" });
}

async function put(tx: Tx, { bundle, packages }: Upload, uploader: Uploader, defaults: TenantQuotas) {
  const { tenantId, by } = uploader;
  if (tenantId !== undefined) {
    await serializeTenant(tx, tenantId);
    await holdTenant(tx, tenantId);
  }
  await holdKey(tx, by);
  // In the same order for all: two bundles with packages in common do not deadlock.
  const ordered = packages.toSorted((a, b) => (a.identifier < b.identifier ? -1 : 1));
  for (const pkg of ordered) await putPackage(tx, pkg, uploader, defaults);
  const { identifier, author, name, version, checksum, bytes } = bundle;
  const { count } = await tx.bundle.createMany({
    data: {
      identifier,
      author,
      name,
      version,
      checksum,
      bytes,
      manifest: storableJson(bundle.manifest),
      dependencies: storableJson(bundle.dependencies),
      warnings: storableJson(bundle.warnings),
    },
    skipDuplicates: true,
  });
  await tx.bundlePackage.createMany({
    data: ordered.map((pkg) => ({ bundle: identifier, identifier: pkg.identifier })),
    skipDuplicates: true,
  });
  const shown =
    tenantId === undefined
      ? { count: 0 }
      : await tx.bundleUploader.createMany({ data: { identifier, tenantId }, skipDuplicates: true });
  if (count + shown.count > 0)
    await writeEvent(tx, { kind: "bundle.upload", by, tenantId, subject: identifier, result: "done" });
  const stored = toBundle(await tx.bundle.findUniqueOrThrow({ where: { identifier } }));
  return { created: count > 0, stored };
}

function uploadedBy(tenantId: string): Prisma.Sql {
  return Prisma.sql`EXISTS (SELECT 1 FROM berth_bundle_uploaders u
    WHERE u.identifier = berth_bundles.identifier AND u.tenant_id = ${tenantId}::uuid)`;
}

function toBundle(row: rows.Bundle): StoredBundle {
  return {
    identifier: row.identifier,
    author: row.author,
    name: row.name,
    version: row.version,
    checksum: row.checksum,
    bytes: Number(row.bytes),
    manifest: z.record(z.string(), z.unknown()).parse(JSON.parse(row.manifest)),
    dependencies: z.array(PluginDependency).parse(JSON.parse(row.dependencies)),
    warnings: z.array(z.string()).parse(JSON.parse(row.warnings)),
    createdAt: row.createdAt,
  };
}
