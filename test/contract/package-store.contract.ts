import { createHash } from "node:crypto";
import { readdir, readFile, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { PackageStore } from "../../src/packages/package-store.ts";

/** One folder or bucket of archives, which a test may open repeatedly. */
export interface PackagePlace extends AsyncDisposable {
  open(): Promise<PackageStore & AsyncDisposable>;
}

/** An identifier that no other test has. */
export function anIdentifier(): string {
  const checksum = createHash("sha256").update(crypto.randomUUID()).digest("hex");
  return `acme/echo:1.0.0@${checksum}`;
}

export async function keepText(store: PackageStore, identifier: string, text: string): Promise<void> {
  await using staged = await store.stage();
  await writeFile(staged.path, text);
  await store.keep(staged, identifier);
}

export async function readText(store: PackageStore, identifier: string): Promise<string> {
  await using opened = await store.open(identifier);
  return await readFile(opened.path, "utf8");
}

/** The contract of a PackageStore. */
export function packageStoreContract(name: string, makePlace: () => Promise<PackagePlace>): void {
  describe(`packages in a ${name}`, () => {
    let place: PackagePlace;
    let store: PackageStore & AsyncDisposable;
    beforeAll(async () => {
      place = await makePlace();
      store = await place.open();
    });
    afterAll(async () => {
      await store?.[Symbol.asyncDispose]();
      await place?.[Symbol.asyncDispose]();
    });

    it("opens the bytes that were kept, with their size", async () => {
      const identifier = anIdentifier();
      await keepText(store, identifier, "the bytes");
      await using opened = await store.open(identifier);
      expect(opened.bytes).toBe(9);
      expect(await readFile(opened.path, "utf8")).toBe("the bytes");
    });

    it("keeps the first bytes under an identifier", async () => {
      const identifier = anIdentifier();
      for (const text of ["first", "second"]) await keepText(store, identifier, text);
      expect(await readText(store, identifier)).toBe("first");
    });

    it("keeps a single archive if two stores keep different ones concurrently", async () => {
      const identifier = anIdentifier();
      await using other = await place.open();
      const texts = ["one".repeat(1_000_000), "two".repeat(1_000_000)] as const;
      await Promise.all([keepText(store, identifier, texts[0]), keepText(other, identifier, texts[1])]);
      const [seen, seenByOther] = await Promise.all([
        readText(store, identifier),
        readText(other, identifier),
      ]);
      expect(seen === seenByOther).toBe(true);
      expect(texts.some((text) => text === seen)).toBe(true);
    });

    it("opens in one process what another has kept", async () => {
      const identifier = anIdentifier();
      await using other = await place.open();
      await keepText(other, identifier, "from there");
      expect(await readText(store, identifier)).toBe("from there");
    });

    it("keeps an archive of many megabytes whole", async () => {
      const identifier = anIdentifier();
      const bytes = Buffer.alloc(9_000_001, "0123456789");
      await using staged = await store.stage();
      await writeFile(staged.path, bytes);
      await store.keep(staged, identifier);
      await using opened = await store.open(identifier);
      expect((await readFile(opened.path)).equals(bytes)).toBe(true);
    });

    it("leaves no staged file behind, kept or not", async () => {
      const kept = await store.stage();
      await writeFile(kept.path, "kept");
      await store.keep(kept, anIdentifier());
      await kept[Symbol.asyncDispose]();
      const dropped = await store.stage();
      await writeFile(dropped.path, "dropped");
      await dropped[Symbol.asyncDispose]();
      const left = await readdir(dirname(kept.path));
      expect(left.filter((name) => kept.path.endsWith(name) || dropped.path.endsWith(name))).toEqual([]);
    });

    it("lets an open archive be read to its end while it is removed", async () => {
      const identifier = anIdentifier();
      await keepText(store, identifier, "still here");
      const opened = await store.open(identifier);
      const reading = readFile(opened.path, "utf8");
      await store.remove(identifier);
      expect(await reading).toBe("still here");
      await opened[Symbol.asyncDispose]();
    });

    it("names an identifier that it does not have, before it is kept and after its removal", async () => {
      const identifier = anIdentifier();
      const missing = { code: "package_not_found", details: { field: "identifier", value: identifier } };
      await expect(store.open(identifier)).rejects.toMatchObject(missing);
      await keepText(store, identifier, "x");
      await store.remove(identifier);
      await store.remove(identifier);
      await expect(store.open(identifier)).rejects.toMatchObject(missing);
    });

    it("accepts new bytes after a removal", async () => {
      const identifier = anIdentifier();
      await keepText(store, identifier, "before");
      expect(await readText(store, identifier)).toBe("before");
      await store.remove(identifier);
      await keepText(store, identifier, "after");
      expect(await readText(store, identifier)).toBe("after");
    });

    it("refuses names that are not identifiers", async () => {
      await using staged = await store.stage();
      await writeFile(staged.path, "x");
      await expect(store.keep(staged, "../../etc/passwd")).rejects.toMatchObject({ code: "invalid_input" });
      await expect(store.open("../../etc/passwd")).rejects.toMatchObject({ code: "invalid_input" });
      await expect(store.remove("../../etc/passwd")).rejects.toMatchObject({ code: "invalid_input" });
    });

    it("lists kept archives with size and age, and none that were removed or only staged", async () => {
      const [kept, removed] = [anIdentifier(), anIdentifier()];
      await keepText(store, kept, "twelve bytes");
      await keepText(store, removed, "x");
      await store.remove(removed);
      await using staged = await store.stage();
      await writeFile(staged.path, "x");
      const listed = await Array.fromAsync(store.list(AbortSignal.timeout(10_000)));
      const ages = listed.filter(({ identifier }) => identifier === kept);
      expect(ages).toMatchObject([{ bytes: 12 }]);
      expect(Math.abs((ages[0]?.keptAt.getTime() ?? 0) - Date.now())).toBeLessThan(60_000);
      expect(listed.map(({ identifier }) => identifier)).not.toContain(removed);
      expect(new Set(listed.map(({ identifier }) => identifier)).size).toBe(listed.length);
    });

    it("answers a ping", async () => {
      await store.ping(AbortSignal.timeout(10_000));
    });
  });
}
