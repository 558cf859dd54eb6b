import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readConfig } from "../../src/config.ts";
import { TenantId } from "../../src/domain/ids.ts";
import { createPackageUploads } from "../../src/installation/upload.ts";
import { silentLog } from "../../src/observe/log.ts";
import { openDiskPackages } from "../../src/packages/disk/disk-packages.ts";
import { packFolder } from "../../src/packages/pack.ts";
import { createPackageReader } from "../../src/packages/package-reader.ts";
import { DEFAULT_READ_OPTIONS } from "../../src/packages/read-package.ts";
import type { Store } from "../../src/store/store.ts";
import { systemClock } from "../../src/util/clock.ts";
import { Scope } from "../../src/util/scope.ts";
import { DATABASES } from "../harness/stores.ts";

const ECHO = join(import.meta.dirname, "../plugins/echo");
const tenantId = TenantId.parse("11111111-1111-4111-8111-111111111111");
const never = new AbortController().signal;

describe.each(DATABASES)("uploads on $name", ({ create }) => {
  const scope = new Scope();
  let store: Store;
  let folder: string;
  let archive: Buffer;

  beforeAll(async () => {
    const database = scope.use(await create());
    store = scope.use(await database.open());
    folder = join(database.dataFolder, "packages");
    const output = join(database.dataFolder, "echo.difypkg");
    await packFolder({ folder: ECHO, output });
    archive = await readFile(output);
  });
  afterAll(() => scope.close());

  const reader = scope.use(
    createPackageReader({
      archives: DEFAULT_READ_OPTIONS,
      cpuMsMax: 30_000,
      timeoutMs: 60_000,
      heapMbMax: 256,
      threadsMax: 1,
    }),
  );
  const uploads = async (changes: { bytesMax?: number; store?: Store } = {}) =>
    createPackageUploads({
      packages: await openDiskPackages({ folder, stagedAgeMaxMs: 60_000 }),
      store,
      clock: systemClock,
      log: silentLog,
      limits: readConfig({}).limits,
      bytesMax: 1_000_000,
      reader,
      ...changes,
    });

  /** In pieces, so that nothing depends on where the network cuts. */
  async function* body(bytes: Buffer): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < bytes.length; at += 1000) yield bytes.subarray(at, at + 1000);
  }

  test("a refused upload leaves neither file nor row", async () => {
    const cases = [
      { uploads: await uploads(), bytes: Buffer.from("no zip at all"), code: "package_not_zip" },
      { uploads: await uploads(), bytes: archive.subarray(0, archive.length - 40), code: "package_not_zip" },
      { uploads: await uploads({ bytesMax: 500 }), bytes: archive, code: "payload_too_large" },
    ];
    for (const { uploads, bytes, code } of cases) {
      await expect(uploads.receive(body(bytes), { tenantId }, never)).rejects.toMatchObject({ code });
    }
    expect((await store.packages.list({}, { limit: 10 })).items).toEqual([]);
    expect(await filesBelow(folder)).toEqual([]);
  });

  test("an archive whose row cannot be written is taken back", async () => {
    const failing: Store = {
      ...store,
      packages: {
        ...store.packages,
        find: (id) => store.packages.find(id),
        put: () => Promise.reject(new Error("full")),
      },
    };
    await expect((await uploads({ store: failing })).receive(body(archive), {}, never)).rejects.toThrow(
      "full",
    );
    expect(await filesBelow(folder)).toEqual([]);
  });

  test("the same bytes twice are one package, each uploading tenant sees it", async () => {
    const door = await uploads();
    const first = await door.receive(body(archive), { tenantId }, never);
    const second = await door.receive(body(archive), {}, never);
    expect([first.created, second.created]).toEqual([true, false]);
    expect(second.stored).toEqual(first.stored);
    expect(first.stored).toMatchObject({
      pluginId: "berth-tests/echo",
      dialect: "real",
      bytes: archive.length,
    });
    expect(first.limits.limits.memoryBytes).toBeGreaterThanOrEqual(268_435_456);
    expect(await store.packages.isVisibleTo(first.stored.identifier, tenantId)).toBe(true);
    expect(await filesBelow(folder)).toHaveLength(1);
  });
});

async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries.filter((entry) => entry.isFile()).map((entry) => entry.name);
}
