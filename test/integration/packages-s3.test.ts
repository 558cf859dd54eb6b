/** Archives in a bucket: stored, opened, kept at hand and repaired, while the server fails in many ways. */
import { appendFile, readFile, truncate, writeFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { anIdentifier, keepText, readText } from "../contract/package-store.contract.ts";
import { filesIn, TEXT, UNAVAILABLE, useBucketPackages } from "../harness/rigs/bucket-packages.ts";
import { SOON_MS } from "../harness/samples/lengths.ts";

const rig = useBucketPackages();

describe("a server that goes away", () => {
  it("while an archive is being stored leaves no part of it, and storing it later succeeds", async () => {
    const { store } = await rig.open();
    const identifier = anIdentifier();
    rig.front.turn = ({ method }) =>
      method === "PUT"
        ? { breakAfterBytes: 1_000_000, direction: "up", meanwhile: () => rig.server.kill() }
        : undefined;
    await expect(keepText(store, identifier, TEXT)).rejects.toMatchObject({
      ...UNAVAILABLE,
      message: "The package store cannot be reached; retry later.",
    });
    rig.front.turn = () => undefined;
    await rig.server.start();
    expect(await store.has(identifier)).toBe(false);
    await expect(store.open(identifier)).rejects.toMatchObject({ code: "package_not_found" });
    await keepText(store, identifier, TEXT);
    expect(await readText((await rig.open()).store, identifier)).toBe(TEXT);
  });

  it("while an archive is being stored, and is soon back, causes no failure", async () => {
    const { store } = await rig.open({ attemptsMax: 10 });
    const identifier = anIdentifier();
    let cuts = 0;
    rig.front.turn = ({ method }) => {
      if (method !== "PUT" || cuts > 0) return undefined;
      cuts += 1;
      const meanwhile = async () => {
        await rig.server.kill();
        await rig.server.start();
      };
      return { breakAfterBytes: 1_000_000, direction: "up", meanwhile };
    };
    await keepText(store, identifier, TEXT);
    expect(rig.requests("PUT", identifier)).toBeGreaterThan(1);
    expect(await readText((await rig.open()).store, identifier)).toBe(TEXT);
  });

  it("while an archive is being opened leaves no part of it behind, and opening it later succeeds", async () => {
    const identifier = anIdentifier();
    await keepText((await rig.open()).store, identifier, TEXT);
    const { store, folder } = await rig.open();
    rig.front.turn = ({ method }) =>
      method === "GET"
        ? { breakAfterBytes: 1_000_000, direction: "down", meanwhile: () => rig.server.kill() }
        : undefined;
    await expect(store.open(identifier)).rejects.toMatchObject(UNAVAILABLE);
    expect(await filesIn(folder)).toEqual([]);
    await expect(store.ping(AbortSignal.timeout(5000))).rejects.toMatchObject(UNAVAILABLE);
    rig.front.turn = () => undefined;
    await rig.server.start();
    await store.ping(AbortSignal.timeout(5000));
    expect(await readText(store, identifier)).toBe(TEXT);
  });

  it("while an archive is being opened, and is soon back, causes no failure", async () => {
    const identifier = anIdentifier();
    await keepText((await rig.open()).store, identifier, TEXT);
    const { store } = await rig.open({ attemptsMax: 10 });
    let cuts = 0;
    rig.front.turn = ({ method }) => {
      if (method !== "GET" || cuts > 0) return undefined;
      cuts += 1;
      return { breakAfterBytes: 1_000_000, direction: "down", meanwhile: async () => undefined };
    };
    expect(await readText(store, identifier)).toBe(TEXT);
    expect(rig.requests("GET", identifier)).toBe(2);
  });

  it("leaves the archives that were opened before available", async () => {
    const { store } = await rig.open();
    const identifier = anIdentifier();
    await keepText(store, identifier, "at hand");
    await rig.server.kill();
    expect(await readText(store, identifier)).toBe("at hand");
    await expect(store.open(anIdentifier())).rejects.toMatchObject(UNAVAILABLE);
    await expect(keepText(store, anIdentifier(), "x")).rejects.toMatchObject(UNAVAILABLE);
  });

  it("or hangs is given up after the timeouts", async () => {
    const { store } = await rig.open({ idleTimeoutMs: 400, attemptsMax: 2 });
    rig.front.turn = () => new Promise(() => undefined);
    const startedAt = performance.now();
    await expect(store.open(anIdentifier())).rejects.toMatchObject(UNAVAILABLE);
    await expect(keepText(store, anIdentifier(), TEXT)).rejects.toMatchObject(UNAVAILABLE);
    expect(performance.now() - startedAt).toBeLessThan(SOON_MS);
  });

  it("behind a gateway that answers with 502 is reported as unavailable", async () => {
    const { store } = await rig.open();
    rig.front.turn = () => ({ answer: 502, code: "BadGateway" });
    await expect(store.open(anIdentifier())).rejects.toMatchObject(UNAVAILABLE);
  });

  it("lets an open call be aborted at once", async () => {
    const { store } = await rig.open();
    const gaveUp = new AbortController();
    rig.front.turn = () => {
      gaveUp.abort(new Error("nobody wants it any more"));
      return new Promise(() => undefined);
    };
    await expect(store.open(anIdentifier(), gaveUp.signal)).rejects.toThrow("nobody wants it any more");
  });
});

describe("an archive that is damaged in the bucket", () => {
  const damages = {
    changed: async (path: string) => {
      const bytes = await readFile(path);
      bytes[100_000] = 0;
      await writeFile(path, bytes);
    },
    "cut short": (path: string) => truncate(path, 100_000),
    longer: (path: string) => appendFile(path, "x"),
  };
  it.each(Object.entries(damages))(
    "because it was %s is reported, and is repaired by storing it again",
    async (_, damage) => {
      const identifier = anIdentifier();
      await keepText((await rig.open()).store, identifier, TEXT);
      await damage(rig.fileOf(identifier));
      const { store, folder } = await rig.open();
      await expect(store.open(identifier)).rejects.toMatchObject({
        code: "package_damaged",
        details: { field: "identifier", value: identifier },
      });
      expect(await filesIn(folder)).toEqual([]);
      await keepText(store, identifier, TEXT);
      expect(await readText((await rig.open()).store, identifier)).toBe(TEXT);
    },
  );

  it("and was put there by another program is replaced by the next stored archive", async () => {
    const identifier = anIdentifier();
    const { store } = await rig.open();
    await keepText(store, identifier, "x");
    await store.remove(identifier);
    await writeFile(rig.fileOf(identifier), "copied by hand");
    expect(await readText((await rig.open()).store, identifier)).toBe("copied by hand");
    await keepText(store, identifier, "kept");
    expect(await readText((await rig.open()).store, identifier)).toBe("kept");
  });
});

describe("a fetched archive", () => {
  it("is fetched once, however many callers open it at once", async () => {
    const identifier = anIdentifier();
    await keepText((await rig.open()).store, identifier, TEXT);
    const { store } = await rig.open();
    const texts = await Promise.all(Array.from({ length: 8 }, () => readText(store, identifier)));
    expect(texts.every((text) => text === TEXT)).toBe(true);
    expect(rig.requests("GET", identifier)).toBe(1);
  });

  it("is available and checked after a restart, and is fetched again if a crash has damaged it", async () => {
    const identifier = anIdentifier();
    const { store, folder } = await rig.open();
    await keepText(store, identifier, TEXT);
    expect(await readText((await rig.open({}, folder)).store, identifier)).toBe(TEXT);
    expect(rig.requests("GET", identifier)).toBe(0);
    const [file = ""] = await filesIn(folder);
    await truncate(file, 1000);
    expect(await readText((await rig.open({}, folder)).store, identifier)).toBe(TEXT);
    expect(rig.requests("GET", identifier)).toBe(1);
    expect(
      rig.lines.some((line) => line["op"] === "package_cache.open" && line["identifier"] === identifier),
    ).toBe(true);
  });

  it("is evicted in the order of last use, but never while it is in use", async () => {
    const identifiers = [anIdentifier(), anIdentifier(), anIdentifier(), anIdentifier()] as const;
    const [oldest, used, newer, newest] = identifiers;
    const keeper = (await rig.open()).store;
    for (const identifier of identifiers) await keepText(keeper, identifier, TEXT);
    const { store, folder } = await rig.open({ cacheBytesMax: 2 * TEXT.length });
    const inUse = await store.open(oldest);
    for (const identifier of [used, newer]) await readText(store, identifier);
    // Three do not fit: of those that nobody uses the older one goes.
    await readText(store, newest);
    const fetched = () => identifiers.map((identifier) => rig.requests("GET", identifier));
    expect(fetched()).toEqual([1, 1, 1, 1]);
    expect(await readFile(inUse.path, "utf8")).toBe(TEXT);
    await readText(store, oldest);
    await readText(store, newest);
    expect(fetched()).toEqual([1, 1, 1, 1]);
    await inUse[Symbol.asyncDispose]();
    await readText(store, used);
    expect(fetched()).toEqual([1, 2, 1, 1]);
    expect((await filesIn(folder)).length).toBe(2);
  });

  it("is kept while another process uses it", async () => {
    const identifier = anIdentifier();
    const { store, folder } = await rig.open({ cacheBytesMax: 1 });
    await keepText(store, identifier, TEXT);
    expect(await filesIn(folder)).toEqual([]);
    const other = (await rig.open({ cacheBytesMax: 1 }, folder)).store;
    const inUse = await other.open(identifier);
    expect(await readText(store, identifier)).toBe(TEXT);
    expect(rig.requests("GET", identifier)).toBe(1);
    await inUse[Symbol.asyncDispose]();
    expect(await filesIn(folder)).toEqual([]);
  });

  it("of a process that died is removed at a start, but only after its age limit", async () => {
    const { store, folder } = await rig.open();
    const identifier = anIdentifier();
    await keepText(store, identifier, TEXT);
    await store.open(identifier);
    await writeFile((await store.stage()).path, "half an upload");
    await rig.open({ cacheBytesMax: 0 }, folder);
    expect(await filesIn(folder)).toHaveLength(3);
    await rig.open({ cacheBytesMax: 0, openedAgeMaxMs: -1, stagedAgeMaxMs: -1 }, folder);
    expect(await filesIn(folder)).toEqual([]);
  });
});
