import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { temporaryFolder } from "../../test/support/test-zip.ts";
import { Fault } from "../domain/fault.ts";
import { createLog } from "../observe/log.ts";
import { systemClock } from "../util/clock.ts";
import { listDiskPackages, openDiskPackages } from "./disk/disk-packages.ts";
import { copyFormer, withFormer } from "./former-packages.ts";
import type { PackageStore } from "./package-store.ts";

const identifiers = ["ab", "cd", "ef"].map((digits) => `acme/echo:1.0.0@${digits.repeat(32)}`);
const [first = "", second = "", third = ""] = identifiers;

async function keep(store: PackageStore, identifier: string, text: string): Promise<void> {
  await using staged = await store.stage();
  await writeFile(staged.path, text);
  await store.keep(staged, identifier);
}

async function read(store: PackageStore, identifier: string): Promise<string> {
  await using opened = await store.open(identifier);
  return await readFile(opened.path, "utf8");
}

/** A former store with the first two archives, and an empty one in its place. */
async function moved() {
  const folder = await temporaryFolder();
  const open = (name: string) => openDiskPackages({ folder: join(folder.path, name), stagedAgeMaxMs: 1000 });
  const former = { store: await open("former"), list: () => listDiskPackages(join(folder.path, "former")) };
  const packages = await open("new");
  for (const identifier of [first, second]) await keep(former.store, identifier, `bytes of ${identifier}`);
  const lines: Record<string, unknown>[] = [];
  const log = createLog({ level: "info", destination: { write: (line) => lines.push(JSON.parse(line)) } });
  const [clock, retryMs] = [systemClock, 1];
  return {
    former,
    packages,
    log,
    clock,
    retryMs,
    lines,
    files: () => readdir(join(folder.path, "former/acme")),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}

describe("packages of a former store", () => {
  it("are opened from the former store until the new one has them", async () => {
    await using place = await moved();
    const both = withFormer(place);
    expect(await read(both, first)).toBe(`bytes of ${first}`);
    await keep(both, first, "of the new one");
    expect(await read(both, first)).toBe("of the new one");
    expect(await read(place.former.store, first)).toBe(`bytes of ${first}`);
    expect([await both.has(second), await both.has(third)]).toEqual([true, false]);
    await expect(both.open(third)).rejects.toMatchObject({ code: "package_not_found" });
  });

  it("are opened while the new one cannot be reached", async () => {
    await using place = await moved();
    const away = () => Promise.reject(new Fault("package_store_unavailable", "It is away."));
    const both = withFormer({ ...place, packages: { ...bound(place.packages), open: away } });
    expect(await read(both, second)).toBe(`bytes of ${second}`);
    await expect(both.open(third)).rejects.toMatchObject({ code: "package_store_unavailable" });
  });

  it("are removed from both stores", async () => {
    await using place = await moved();
    const both = withFormer(place);
    await keep(both, first, "x");
    await both.remove(first);
    await expect(both.open(first)).rejects.toMatchObject({ code: "package_not_found" });
    expect(await both.has(first)).toBe(false);
  });

  it("are copied, and what the new store has stays as it is", async () => {
    await using place = await moved();
    await keep(place.packages, second, "newer");
    await copyFormer(place, new AbortController().signal);
    expect(await read(place.packages, first)).toBe(`bytes of ${first}`);
    expect(await read(place.packages, second)).toBe("newer");
    expect(await place.files()).toHaveLength(2);
    expect(place.lines.at(-1)).toMatchObject({
      op: "packages.copy",
      ok: true,
      copied: 1,
      there: 1,
      failed: 0,
    });
  });

  it("are copied once the new store is back, with one log line about its outage", async () => {
    await using place = await moved();
    let refusals = 3;
    const has = async (identifier: string) => {
      refusals -= 1;
      if (refusals >= 0) throw new Fault("package_store_unavailable", "It is away.");
      return await place.packages.has(identifier);
    };
    const packages: PackageStore = { ...bound(place.packages), has };
    await copyFormer({ ...place, packages }, new AbortController().signal);
    expect(await read(place.packages, second)).toBe(`bytes of ${second}`);
    expect(place.lines.filter(({ code }) => code === "package_store_unavailable")).toHaveLength(1);
  });

  it("that cannot be read are logged by name, and the others are copied", async () => {
    await using place = await moved();
    const open = (identifier: string) =>
      identifier === first ? Promise.reject(new Error("EIO")) : place.former.store.open(identifier);
    const former = { ...place.former, store: { ...bound(place.former.store), open } };
    await copyFormer({ ...place, former }, new AbortController().signal);
    expect(await place.packages.has(second)).toBe(true);
    expect(place.lines.at(-1)).toMatchObject({ ok: false, copied: 1, failed: 1 });
    expect(place.lines.some(({ identifier }) => identifier === first)).toBe(true);
  });
});

/** The methods of a store as fields, so that one may be replaced. */
function bound(store: PackageStore): PackageStore {
  return {
    stage: () => store.stage(),
    keep: (staged, identifier) => store.keep(staged, identifier),
    has: (identifier) => store.has(identifier),
    open: (identifier, signal) => store.open(identifier, signal),
    remove: (identifier) => store.remove(identifier),
    list: (signal) => store.list(signal),
    ping: (signal) => store.ping(signal),
  };
}
