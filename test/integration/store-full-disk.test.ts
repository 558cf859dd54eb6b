/** A disk that is full costs what needs room, and nothing that was said to be kept. */
import { chmod, chown, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { Client } from "pg";
import { expect, test } from "vitest";
import { silentLog } from "../../src/observe/log.ts";
import { openStore } from "../../src/store/prisma/open.ts";
import type { Store } from "../../src/store/store.ts";
import { Scope } from "../../src/util/scope.ts";
import { mountSmallDisk, type SmallDisk } from "../harness/rigs/small-disk.ts";
import { aPackage } from "../harness/samples/tenant-rows.ts";
import { placeEmbeddedDatabase } from "../harness/servers/embedded-database.ts";
import { makeFolder, ownerOfServer, startServer } from "../harness/servers/postgres.ts";

/** Resolves with the identifiers of what the store said that it keeps: from before, during and after. */
async function keepOnFullDisk(store: Store, disk: SmallDisk): Promise<readonly string[]> {
  const kept: string[] = [];
  const put = async () => {
    // Random, so that it takes its room.
    const pkg = { ...aPackage(), declaration: { wide: Array.from({ length: 10_000 }, () => Math.random()) } };
    await store.packages.put(pkg, {});
    kept.push(pkg.identifier);
  };
  await put();
  {
    await using _full = await disk.fill();
    const refusals: unknown[] = [];
    for (let n = 0; n < 200 && refusals.length < 3; n += 1)
      await put().catch((error: unknown) => refusals.push(error));
    expect(refusals).toHaveLength(3);
    for (const refusal of refusals) expect(refusal).toMatchObject({ code: "disk_full" });
    await store.ping();
    expect((await store.packages.find(kept[0] ?? ""))?.identifier).toBe(kept[0]);
  }
  await put();
  return kept;
}

async function expectKept(store: Store, kept: readonly string[]): Promise<void> {
  for (const identifier of kept) expect((await store.packages.find(identifier))?.identifier).toBe(identifier);
}

test("an embedded database on a full disk refuses writes and keeps all that it has acknowledged", async () => {
  await using scope = new Scope();
  const folder = scope.use(await makeFolder("full")).path;
  const disk = scope.use(await mountSmallDisk(folder, { mib: 128 }));
  const dataFolder = join(folder, "data");
  await placeEmbeddedDatabase(dataFolder);
  const open = () => openStore({ dataFolder, log: silentLog, poolMax: 1, statementTimeoutMs: 30_000 });
  let kept: readonly string[];
  {
    await using store = await open();
    kept = await keepOnFullDisk(store, disk);
  }
  await using again = await open();
  await expectKept(again, kept);
});

test("PostgreSQL on a full disk refuses writes and keeps all that it has acknowledged", async () => {
  await using scope = new Scope();
  const folder = scope.use(await makeFolder("pgfull")).path;
  // The server's user is not ours.
  await chmod(folder, 0o755);
  const disk = scope.use(await mountSmallDisk(join(folder, "disk"), { mib: 64 }));
  const databaseUrl = await onTheDisk(await startServer(scope), join(folder, "disk/space"));
  await using store = await openStore({
    databaseUrl,
    dataFolder: folder,
    log: silentLog,
    poolMax: 2,
    statementTimeoutMs: 30_000,
  });
  await expectKept(store, await keepOnFullDisk(store, disk));
});

/** Its tables lie there; its log of transactions does not, for want of which the server would end as in a crash. */
async function onTheDisk(databaseUrl: string, place: string): Promise<string> {
  const owner = await ownerOfServer();
  await mkdir(place);
  if (owner !== undefined) await chown(place, owner.uid, owner.gid);
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query(`CREATE TABLESPACE small LOCATION '${place}'`);
    await client.query("CREATE DATABASE on_the_disk TABLESPACE small");
  } finally {
    await client.end();
  }
  const url = new URL(databaseUrl);
  url.pathname = "on_the_disk";
  return url.href;
}
