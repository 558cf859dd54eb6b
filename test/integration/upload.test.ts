import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { TenantId } from "../../src/domain/ids.ts";
import { packFolder } from "../../src/packages/archive/pack.ts";
import { Scope } from "../../src/util/scope.ts";
import { inPieces, openIntake } from "../harness/rigs/intake.ts";
import { ON_POSTGRES, type TestDatabase } from "../harness/rigs/stores.ts";

const ECHO = join(import.meta.dirname, "../plugins/echo");
const tenantId = TenantId.parse("11111111-1111-4111-8111-111111111111");
const never = new AbortController().signal;

describe.each(ON_POSTGRES)("uploads on $name", ({ create }) => {
  const scope = new Scope();
  let database: TestDatabase;
  let archive: Buffer;

  beforeAll(async () => {
    database = scope.use(await create());
    const output = join(database.dataFolder, "echo.difypkg");
    await packFolder({ folder: ECHO, output });
    archive = await readFile(output);
  });
  afterAll(() => scope.close());

  test("an archive over its limit leaves neither file nor row", async () => {
    await using intake = await openIntake(database, { bytesMax: 500 });
    const before = await intake.left();
    await expect(intake.uploads.receive(inPieces(archive), { tenantId }, never)).rejects.toMatchObject({
      code: "payload_too_large",
    });
    expect(before.files).toEqual([]);
    expect(await intake.left()).toEqual(before);
  });

  test("an archive whose row cannot be written is removed again", async () => {
    await using intake = await openIntake(database, {
      store: (store) => ({
        ...store,
        packages: { ...store.packages, put: () => Promise.reject(new Error("full")) },
      }),
    });
    const before = await intake.left();
    await expect(intake.uploads.receive(inPieces(archive), {}, never)).rejects.toThrow("full");
    expect(await intake.left()).toEqual(before);
  });

  test("an archive that an earlier daemon left survives a failed upload, and is replaced if it is damaged", async () => {
    await using spoilt = await openIntake(database, {
      store: (store) => ({
        ...store,
        packages: { ...store.packages, put: () => Promise.reject(new Error("full")) },
      }),
    });
    await using staged = await spoilt.packages.stage();
    await writeFile(staged.path, archive);
    const { identifier } = await spoilt.reader.read(staged.path, new Date(0), never);
    await spoilt.packages.keep(staged, identifier);
    await expect(spoilt.uploads.receive(inPieces(archive), {}, never)).rejects.toThrow("full");
    const kept = await spoilt.packages.open(identifier);
    expect(await readFile(kept.path)).toEqual(archive);
    await writeFile(kept.path, "no archive");
    await expect(spoilt.uploads.receive(inPieces(archive), {}, never)).rejects.toThrow("full");
    expect(await readFile(kept.path)).toEqual(archive);
    await spoilt.packages.remove(identifier);
  });

  test("two uploads of the same bytes are one package, which each uploading tenant sees", async () => {
    await using intake = await openIntake(database);
    const first = await intake.uploads.receive(inPieces(archive), { tenantId }, never);
    const second = await intake.uploads.receive(inPieces(archive), {}, never);
    expect([first.created, second.created]).toEqual([true, false]);
    expect(second.stored).toEqual(first.stored);
    expect(first.stored).toMatchObject({
      pluginId: "berth-tests/echo",
      dialect: "real",
      bytes: archive.length,
    });
    expect(first.limits.limits.memoryBytes).toBeGreaterThanOrEqual(268_435_456);
    expect(await intake.store.packages.isVisibleTo(first.stored.identifier, tenantId)).toBe(true);
    expect((await intake.left()).files).toHaveLength(1);
  });
});
