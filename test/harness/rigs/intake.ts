/** Uploads on a real store and a real folder, and a list of everything that an archive may leave behind. */
import { readdir } from "node:fs/promises";
import { join, relative } from "node:path";
import pg from "pg";
import { readConfig } from "../../../src/config.ts";
import type { PackageUploads } from "../../../src/installation/contracts.ts";
import {
  type BundleUploads,
  createBundleUploads,
} from "../../../src/installation/packages/bundle-uploads.ts";
import { createPackageKeeper } from "../../../src/installation/packages/package-keeper.ts";
import { createPackageUploads } from "../../../src/installation/packages/package-uploads.ts";
import type { Trust, TrustSettings } from "../../../src/installation/trust/trust.ts";
import { silentLog } from "../../../src/observe/log.ts";
import { openDiskPackages } from "../../../src/packages/disk/disk-packages.ts";
import { createPackageReader, type PackageReader } from "../../../src/packages/package-reader.ts";
import type { PackageStore } from "../../../src/packages/package-store.ts";
import { DEFAULT_READ_OPTIONS } from "../../../src/packages/read-package.ts";
import type { Store } from "../../../src/store/store.ts";
import { systemClock } from "../../../src/util/clock.ts";
import { Scope } from "../../../src/util/scope.ts";
import { testTrust } from "../doubles/trust.ts";
import type { TestDatabase } from "./stores.ts";

export interface TestIntake extends AsyncDisposable {
  readonly store: Store;
  readonly packages: PackageStore;
  readonly uploads: PackageUploads;
  readonly bundles: BundleUploads;
  readonly reader: PackageReader;
  readonly trust: Trust;
  /** Files of archives, staged ones too, and rows; on PostgreSQL of every table. */
  left(): Promise<{ readonly files: readonly string[]; readonly rows: Readonly<Record<string, number>> }>;
}

export interface IntakeChanges {
  readonly store?: (store: Store) => Store;
  readonly packages?: (packages: PackageStore) => PackageStore;
  readonly bytesMax?: number;
  readonly policy?: "off" | "require";
  readonly trust?: Partial<TrustSettings>;
}

export async function openIntake(database: TestDatabase, changes: IntakeChanges = {}): Promise<TestIntake> {
  const scope = new Scope();
  const real = scope.use(await database.open());
  const store = changes.store?.(real) ?? real;
  const folder = join(database.dataFolder, "storage/plugin_packages");
  const onDisk = await openDiskPackages({ folder, stagedAgeMaxMs: 60_000 });
  const packages = changes.packages?.(onDisk) ?? onDisk;
  const bytesMax = changes.bytesMax ?? 5_000_000;
  const archives = { ...DEFAULT_READ_OPTIONS, entryBytesMax: bytesMax, uncompressedBytesMax: bytesMax };
  const bounds = { cpuMsMax: 30_000, timeoutMs: 60_000, heapMbMax: 256, threadsMax: 1 };
  const reader = scope.use(createPackageReader({ archives, ...bounds }));
  const trust = testTrust(store, { policy: changes.policy ?? "off", ...changes.trust });
  const keeper = createPackageKeeper({ packages, store, reader, clock: systemClock, log: silentLog });
  const common = { packages, store, clock: systemClock, log: silentLog, reader, trust, keeper };
  return {
    store,
    packages,
    reader,
    trust,
    uploads: createPackageUploads({ ...common, limits: readConfig({}).limits, bytesMax }),
    bundles: createBundleUploads({
      ...common,
      settings: {
        archives: { ...archives, uncompressedBytesMax: 2 * bytesMax },
        bytesMax: 2 * bytesMax,
        cpuMsMax: 30_000,
      },
    }),
    left: async () => ({ files: await filesBelow(folder), rows: await rowsOf(real, database) }),
    [Symbol.asyncDispose]: () => scope.close(),
  };
}

/** In pieces, so that nothing depends on how the network splits it. */
export async function* inPieces(bytes: Buffer): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
}

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(relative(folder, entry.parentPath), entry.name));
}

async function rowsOf(store: Store, { databaseUrl }: TestDatabase): Promise<Record<string, number>> {
  if (databaseUrl !== undefined) return await countTables(databaseUrl);
  const page = { limit: 200 };
  return {
    packages: (await store.packages.list({}, page)).items.length,
    bundles: (await store.bundles.list({}, page)).items.length,
    events: (await store.events.list({}, page)).items.length,
    tenants: (await store.tenants.list(page)).items.length,
  };
}

async function countTables(databaseUrl: string): Promise<Record<string, number>> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    const { rows } = await client.query<{ tablename: string }>(
      "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename",
    );
    const counts: Record<string, number> = {};
    for (const { tablename } of rows) {
      const { rows: counted } = await client.query(`SELECT count(*)::int AS n FROM "${tablename}"`);
      const n: unknown = counted[0]?.n;
      if (typeof n === "number" && n > 0) counts[tablename] = n;
    }
    return counts;
  } finally {
    await client.end();
  }
}
