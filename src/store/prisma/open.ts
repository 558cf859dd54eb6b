import { randomInt } from "node:crypto";
import { PrismaPg } from "@prisma/adapter-pg";
import { Scope } from "../../util/scope.ts";
import type { DiskRows } from "../contracts/disk.ts";
import type { Store } from "../store.ts";
import { type ConnectionOptions, openConnection } from "./client/connection.ts";
import { Database } from "./client/database.ts";
import { storableAdapter } from "./client/storable-adapter.ts";
import { createImageDisk } from "./disk/disk-images.ts";
import { createPackageDisk } from "./disk/disk-packages.ts";
import { createDiskRunRows } from "./disk/disk-runs.ts";
import { createRuntimeDisk, createTaskDisk } from "./disk/disk-tasks.ts";
import { PrismaClient } from "./generated/client.ts";
import { createCredentialRows } from "./installations/credentials.ts";
import { createDebugRows } from "./installations/debug.ts";
import { createDependencyRows } from "./installations/dependencies.ts";
import { createEgressRows } from "./installations/egress.ts";
import { createInstallationRows } from "./installations/installations.ts";
import { createInstalledRows } from "./installations/installed.ts";
import { createPermissionRows } from "./installations/permissions.ts";
import { createUpgradeRows } from "./installations/upgrades.ts";
import { createVariableRows } from "./installations/variables.ts";
import { readMarks } from "./marks.ts";
import { migrate } from "./migration/migrate.ts";
import { createBundleRows } from "./packages/bundles.ts";
import { createPackageRows } from "./packages/packages.ts";
import { createReadmeRows } from "./packages/readmes.ts";
import { createTrustRows } from "./packages/trust.ts";
import { createEndpointRows } from "./platform/endpoints.ts";
import { createPlatformRows } from "./platform/platform.ts";
import { createPlatformTaskRows } from "./platform/platform-tasks.ts";
import { createTakeoverRows } from "./platform/takeover.ts";
import { createImageRows } from "./runtimes/images.ts";
import { createImportedImageRows } from "./runtimes/imported-images.ts";
import { createLeaseRows } from "./runtimes/leases.ts";
import { createPoolRows } from "./runtimes/pools.ts";
import { createProcessRows } from "./runtimes/processes.ts";
import { createRuntimeRows } from "./runtimes/runtimes.ts";
import { createTaskRows } from "./tasks/tasks.ts";
import { createEventRows } from "./tenants/audit.ts";
import { createKeyRows } from "./tenants/keys.ts";
import { createStorageSizes } from "./tenants/storage-sizes.ts";
import { createTenantRows } from "./tenants/tenants.ts";

/**
 * Opens the database of `databaseUrl`, or the embedded one in `<dataFolder>/pglite`, and applies all migrations. Throws
 * `config_invalid` for an unusable URL, `store_mismatch` for a server that is too old or tables that Berth cannot use,
 * `data_folder_locked` where another process has the embedded database open, and `store_unavailable`, with the server and
 * the reason, where none answered in time. A failed start leaves nothing open.
 */
export async function openStore(options: ConnectionOptions): Promise<Store> {
  const scope = new Scope();
  try {
    const connection = scope.use(await openConnection(options));
    const client = new PrismaClient({ adapter: storableAdapter(new PrismaPg(connection.pool)) });
    scope.add(() => client.$disconnect());
    const db = new Database({
      client,
      connection,
      waitMs: options.statementTimeoutMs,
      tenantDefaults: options.tenantDefaults,
      readMarks,
    });
    const instanceId = await connection.reached(async () => {
      await db.run(() =>
        connection.withoutTimeLimit(async (pool) =>
          migrate({ adapter: await new PrismaPg(pool).connect(), log: options.log }),
        ),
      );
      return makeSureOfInstanceId(db);
    });
    const databaseId = options.databaseUrl === undefined ? "embedded" : await readDatabaseId(db);
    return {
      instanceId,
      databaseId,
      packages: createPackageRows(db),
      bundles: createBundleRows(db),
      readmes: createReadmeRows(db),
      storageSizes: createStorageSizes(db),
      platform: createPlatformRows(db),
      platformTasks: createPlatformTaskRows(db),
      installations: createInstallationRows(db),
      installed: createInstalledRows(db),
      tasks: createTaskRows(db),
      images: createImageRows(db),
      pools: createPoolRows(db),
      runtimes: createRuntimeRows(db),
      keys: createKeyRows(db),
      dependencies: createDependencyRows(db),
      tenants: createTenantRows(db),
      egress: createEgressRows(db),
      variables: createVariableRows(db),
      credentials: createCredentialRows(db),
      permissions: createPermissionRows(db),
      upgrades: createUpgradeRows(db),
      events: createEventRows(db),
      processes: createProcessRows(db),
      trust: createTrustRows(db),
      leases: createLeaseRows(db),
      importedImages: createImportedImageRows(db),
      disk: createDiskRows(db),
      takeover: createTakeoverRows(db),
      endpoints: createEndpointRows(db),
      debug: createDebugRows(db),
      ping: async () => {
        await db.run((prisma) => prisma.$queryRaw`SELECT 1`);
      },
      [Symbol.asyncDispose]: () => scope.close(),
    };
  } catch (error) {
    await scope.close();
    throw error;
  }
}

/** Of several processes that start on an empty database one writes the id, and all read it. */
async function makeSureOfInstanceId(db: Database): Promise<string> {
  const value = Array.from({ length: 8 }, () => randomInt(36).toString(36)).join("");
  return db.run(async (prisma) => {
    await prisma.meta.createMany({ data: [{ key: "instance_id", value }], skipDuplicates: true });
    return (await prisma.meta.findUniqueOrThrow({ where: { key: "instance_id" } })).value;
  });
}

/**
 * An id that differs between databases, also between a copy and its original: the id that a server gets when it is
 * created (a physical copy keeps it), and the database's number in it, which a dump does not contain. Where a server hides
 * its id, only the number counts.
 */
async function readDatabaseId(db: Database): Promise<string> {
  const [{ oid } = { oid: 0 }] = await db.run(
    (prisma) =>
      prisma.$queryRaw<{ oid: number }[]>`
        SELECT oid::int4 AS oid FROM pg_database WHERE datname = current_database()`,
  );
  const server = await db
    .run(
      (prisma) =>
        prisma.$queryRaw<{ id: string }[]>`
          SELECT system_identifier::text AS id FROM pg_control_system()`,
    )
    .catch(() => []);
  return `postgres:${server[0]?.id ?? "unknown"}/${oid}`;
}

function createDiskRows(db: Database): DiskRows {
  return {
    runs: createDiskRunRows(db),
    images: createImageDisk(db),
    packages: createPackageDisk(db),
    tasks: createTaskDisk(db),
    runtimes: createRuntimeDisk(db),
  };
}
