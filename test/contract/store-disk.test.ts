/** What may be removed and what not, and which of two concurrent opposites wins; on both databases. */
import { randomUUID } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { TenantId } from "../../src/domain/ids.ts";
import type { Store } from "../../src/store/store.ts";
import { DATABASES, useStore } from "../harness/rigs/stores.ts";
import { length } from "../harness/samples/lengths.ts";
import { aBundle, anInstall, aPackage, aTenant, LIMITS } from "../harness/samples/tenant-rows.ts";

const LEASE_MS = 60_000;
const ROUNDS = length({ short: 10, soak: 200 });
const NEVER = { uploadDays: 0 };

describe.each(DATABASES)("removals from disk on $name", ({ create }) => {
  let store: Store;
  useStore(create, (opened) => {
    store = opened;
  });

  const imageOf = async (key: string) => {
    const found = (await store.disk.images.list()).find((image) => image.key === key);
    if (found === undefined) throw new Error(`there is no image ${key}`);
    return found;
  };
  const take = async (key: string) => store.disk.images.take(await imageOf(key), "gc", LEASE_MS);

  async function anImage(identifier?: string, baseKey?: string): Promise<string> {
    const key = randomUUID();
    const layer = identifier === undefined ? "dependencies" : "package";
    const claim = await store.images.claim(key, layer, "builder", LEASE_MS, { identifier });
    if (claim.outcome !== "claimed") throw new Error(claim.outcome);
    if (baseKey !== undefined) await store.images.setBase(key, claim.attempt, baseKey);
    await store.images.publish(key, claim.attempt, { imageRef: `ref:${key}`, bytes: 1, warnings: [] });
    return key;
  }

  async function installed(tenantId = aTenant()) {
    const pkg = aPackage();
    await store.packages.put(pkg, { tenantId });
    const { task, installation } = await store.installations.acceptInstall(anInstall(pkg, tenantId));
    return { pkg, task, installation, tenantId };
  }
  async function end(taskId: Parameters<Store["tasks"]["claim"]>[0]): Promise<void> {
    const claimed = await store.tasks.claim(taskId, "worker", LEASE_MS);
    await store.installations.publishReady(taskId, claimed?.attempt ?? 0);
  }

  describe("images", () => {
    it("an unused image is taken once, its row is removed, and the next claim builds it again", async () => {
      const key = await anImage("acme/none:1@a");
      expect((await imageOf(key)).heldBy).toEqual([]);
      const seen = await imageOf(key);
      const attempts = await Promise.all([
        store.disk.images.take(seen, "gc-1", LEASE_MS),
        store.disk.images.take(seen, "gc-2", LEASE_MS),
      ]);
      const [attempt] = attempts.filter((one) => one !== undefined);
      expect(attempts.filter((one) => one !== undefined)).toHaveLength(1);
      expect(await store.images.claim(key, "package", "builder", LEASE_MS)).toMatchObject({
        outcome: "held",
        holder: expect.stringMatching(/^gc-/),
      });
      await store.disk.images.drop(key, attempt ?? 0);
      expect(await store.images.find(key)).toBeUndefined();
      expect(await store.images.claim(key, "package", "builder", LEASE_MS)).toMatchObject({
        outcome: "claimed",
      });
    });

    it("an image stays if the engine refuses to remove it", async () => {
      const key = await anImage("acme/none:1@a");
      await store.disk.images.keep(key, (await take(key)) ?? 0);
      expect(await store.images.claim(key, "package", "builder", LEASE_MS)).toMatchObject({
        outcome: "ready",
      });
    });

    it("an image that a pool, an installation or a task needs is kept, with its users named", async () => {
      const { pkg, task, installation } = await installed();
      const key = await anImage(pkg.identifier);
      expect((await imageOf(key)).heldBy).toEqual([`installation ${installation.id}`, `task ${task.id}`]);
      await end(task.id);
      expect((await imageOf(key)).heldBy).toEqual([`installation ${installation.id}`]);
      expect(await take(key)).toBeUndefined();
      const pool = randomUUID();
      await store.pools.ensure({
        key: pool,
        tenantId: undefined,
        pluginId: pkg.pluginId,
        identifier: pkg.identifier,
        imageKey: key,
        imageRef: "r",
        runner: { entrypoint: "main" },
        limits: LIMITS,
        wanted: false,
      });
      const uninstall = await store.installations.acceptUninstall(installation.id);
      const claimed = await store.tasks.claim(uninstall.task.id, "worker", LEASE_MS);
      await store.installations.publishRemoved(uninstall.task.id, claimed?.attempt ?? 0);
      expect((await imageOf(key)).heldBy).toEqual([`pool ${pool}`]);
      expect(await take(key)).toBeUndefined();
      await store.pools.removeUnused(pool);
      expect(await take(key)).toBeDefined();
    });

    it("an image and a package that a rollback needs are kept", async () => {
      const { pkg, task, installation } = await installed();
      const key = await anImage(pkg.identifier);
      await end(task.id);
      const next = { ...aPackage(), pluginId: pkg.pluginId };
      await store.packages.put(next, {});
      const upgrade = await store.installations.acceptChange({
        kind: "upgrade",
        id: installation.id,
        identifier: next.identifier,
      });
      await end(upgrade.task.id);
      expect(await store.installations.find(installation.id)).toMatchObject({
        identifier: next.identifier,
        previousIdentifier: pkg.identifier,
      });
      expect((await imageOf(key)).heldBy).toEqual([`installation ${installation.id}`]);
      expect(await take(key)).toBeUndefined();
      expect(await store.disk.packages.take(pkg.identifier, { uploadDays: 0.000001 })).toBe(false);
    });

    it("all images of a package except the newest can be removed", async () => {
      const { pkg, task } = await installed();
      await end(task.id);
      const [older, newer] = [await anImage(pkg.identifier), await anImage(pkg.identifier)];
      expect(await take(newer)).toBeUndefined();
      expect(await take(older)).toBeDefined();
    });

    it("a layer that another image or build is based on is kept", async () => {
      const base = await anImage();
      const building = randomUUID();
      const claim = await store.images.claim(building, "package", "builder", LEASE_MS, {
        identifier: "acme/b:1@a",
      });
      await store.images.setBase(building, claim.outcome === "claimed" ? claim.attempt : 0, base);
      expect((await imageOf(base)).heldBy).toEqual([`build ${building}`]);
      expect(await take(base)).toBeUndefined();
      const above = await anImage("acme/c:1@a", base);
      await store.images.fail(building, claim.outcome === "claimed" ? claim.attempt : 0);
      expect(await take(base)).toBeUndefined();
      await store.disk.images.drop(above, (await take(above)) ?? 0);
      expect(await take(base)).toBeDefined();
    });

    it("an image that was used since it was examined is kept", async () => {
      const key = await anImage("acme/none:1@a");
      const seen = await imageOf(key);
      expect(await store.images.claim(key, "package", "builder", LEASE_MS)).toMatchObject({
        outcome: "ready",
      });
      expect(await store.disk.images.take(seen, "gc", LEASE_MS)).toBeUndefined();
      expect(await take(key)).toBeDefined();
    });

    it("of a concurrent use and removal of an image only one succeeds", async () => {
      for (let round = 0; round < ROUNDS; round += 1) {
        const key = await anImage("acme/none:1@a");
        const seen = await imageOf(key);
        const [used, removed] = await Promise.all([
          store.images.claim(key, "package", "builder", LEASE_MS, { identifier: "acme/none:1@a" }),
          store.disk.images.take(seen, "gc", LEASE_MS),
        ]);
        expect([used.outcome, removed !== undefined]).toEqual(
          used.outcome === "ready" ? ["ready", false] : ["held", true],
        );
      }
    });

    it("an interrupted removal is completed by the next removal or replaced by the next build", async () => {
      const [removed, rebuilt] = [await anImage("acme/a:1@a"), await anImage("acme/b:1@a")];
      for (const key of [removed, rebuilt])
        expect(await store.disk.images.take(await imageOf(key), "dead", 0)).toBeDefined();
      await store.disk.images.drop(removed, (await take(removed)) ?? 0);
      expect(await store.images.find(removed)).toBeUndefined();
      expect(await store.images.claim(rebuilt, "package", "builder", LEASE_MS)).toMatchObject({
        outcome: "claimed",
      });
      expect(await take(rebuilt)).toBeUndefined();
    });

    it("an image whose build failed can be removed, and an image that is being built cannot", async () => {
      const key = randomUUID();
      const claim = await store.images.claim(key, "package", "builder", LEASE_MS, {
        identifier: "acme/none:1@a",
      });
      expect(await take(key)).toBeUndefined();
      await store.images.fail(key, claim.outcome === "claimed" ? claim.attempt : 0);
      expect(await take(key)).toBeDefined();
    });
  });

  describe("packages", () => {
    it("a package that the operator or an existing tenant uploaded is kept", async () => {
      const [mine, operators] = [aPackage(), aPackage()];
      const tenantId = aTenant();
      await store.packages.put(mine, { tenantId });
      await store.packages.put(operators, {});
      for (const { identifier } of [mine, operators])
        expect(await store.disk.packages.take(identifier, NEVER)).toBe(false);
      const kept = (await store.disk.packages.list()).filter(({ identifier }) =>
        [mine.identifier, operators.identifier].includes(identifier),
      );
      expect(kept.map(({ keptFor }) => keptFor)).toEqual([[`tenant ${tenantId}`], ["operator"]]);
    });

    it("a package that only a removed tenant uploaded is removed with its rows", async () => {
      const [gone, shared] = [aPackage(), aPackage()];
      const tenantId = aTenant();
      await store.packages.put(gone, { tenantId });
      await store.packages.put(shared, { tenantId });
      await store.packages.put(shared, {});
      await removeTenant(tenantId);
      expect(await store.disk.packages.take(shared.identifier, NEVER)).toBe(false);
      expect(await store.disk.packages.take(gone.identifier, NEVER)).toBe(true);
      expect(await store.packages.find(gone.identifier)).toBeUndefined();
      expect(await store.disk.packages.take(gone.identifier, NEVER)).toBe(false);
    });

    it("an upload older than the operator's bound is removed, unless it is installed", async () => {
      const { pkg } = await installed();
      const idle = aPackage();
      await store.packages.put(idle, {});
      const options = { uploadDays: 0.000001 };
      await expect.poll(() => store.disk.packages.take(idle.identifier, options)).toBe(true);
      expect(await store.disk.packages.take(pkg.identifier, options)).toBe(false);
    });

    it("a package of a bundle is kept until the bundle is removed, and the bundle is named once", async () => {
      const pkg = aPackage();
      const bundle = aBundle([pkg.identifier]);
      await store.bundles.put({ bundle, packages: [pkg] }, {});
      const row = (await store.disk.packages.list()).find(({ identifier }) => identifier === pkg.identifier);
      expect(row?.heldBy).toEqual([`bundle ${bundle.identifier}`]);
      const options = { uploadDays: 0.000000001 };
      expect(await store.disk.packages.take(pkg.identifier, options)).toBe(false);
      await store.bundles.remove(bundle.identifier);
      expect(await store.disk.packages.take(pkg.identifier, options)).toBe(true);
    });

    it("of a concurrent install and removal of a package only one succeeds", async () => {
      const outcomes = new Set<string>();
      for (let round = 0; round < ROUNDS; round += 1) {
        const pkg = aPackage();
        await store.packages.put(pkg, {});
        const [install, removed] = await Promise.all([
          store.installations.acceptInstall(anInstall(pkg, aTenant())).then(
            () => "accepted",
            (error: { code?: string }) => error.code,
          ),
          store.disk.packages.take(pkg.identifier, { uploadDays: 0.000000001 }),
        ]);
        const isThere = (await store.packages.find(pkg.identifier)) !== undefined;
        expect([install, isThere]).toEqual(removed ? ["package_not_found", false] : ["accepted", true]);
        outcomes.add(String(install));
      }
      expect([...outcomes]).not.toContain("undefined");
    });

    async function removeTenant(tenantId: TenantId): Promise<void> {
      const { task } = await store.tenants.acceptRemoval(tenantId);
      const claimed = await store.tasks.claim(task.id, "worker", LEASE_MS);
      await store.tenants.publishRemoved(task.id, claimed?.attempt ?? 0);
    }
  });

  describe("tasks", () => {
    const logOf = async (taskId: string, days = 0) =>
      (await store.disk.tasks.list(days)).find((task) => task.taskId === taskId);

    it("the build log of a finished task is removed, and that of a running task is kept", async () => {
      const { task } = await installed();
      const claimed = await store.tasks.claim(task.id, "worker", LEASE_MS);
      const attempt = claimed?.attempt ?? 0;
      await store.tasks.append(task.id, attempt, [{ type: "log", step: "building", text: "x".repeat(500) }]);
      expect(await logOf(task.id)).toMatchObject({ finishedAt: undefined });
      expect(await store.disk.tasks.takeLog(task.id)).toBe(false);
      await store.installations.publishReady(task.id, attempt);
      const before = await logOf(task.id);
      expect(before?.logBytes).toBeGreaterThan(500);
      expect(await store.disk.tasks.takeLog(task.id)).toBe(true);
      expect(await logOf(task.id)).toMatchObject({ logBytes: 0 });
      const events = await store.tasks.events(task.id, 0);
      expect(events.map(({ type }) => type)).toEqual(["step", "step", "end"]);
    });

    it("a task older than the operator's bound is removed, unless it is the latest of an installation", async () => {
      const { task, installation } = await installed();
      await end(task.id);
      const days = 0.000001;
      await expect.poll(async () => (await logOf(task.id, days))?.isOld).toBe(false);
      expect(await store.disk.tasks.take(task.id)).toBe(false);
      const uninstall = await store.installations.acceptUninstall(installation.id);
      await expect.poll(async () => (await logOf(task.id, days))?.isOld).toBe(true);
      expect(await store.disk.tasks.take(task.id)).toBe(true);
      expect(await store.tasks.find(task.id)).toBeUndefined();
      expect(await store.tasks.events(task.id, 0)).toEqual([]);
      expect(await store.disk.tasks.take(uninstall.task.id)).toBe(false);
    });
  });

  describe("a lease by name", () => {
    it("has one holder, ends when it is released or expired, and refuses a holder that has lost it", async () => {
      const name = randomUUID();
      const tried = await Promise.all(
        Array.from({ length: 6 }, (_, n) => store.leases.take(name, `h${n}`, LEASE_MS)),
      );
      expect(tried.filter(Boolean)).toHaveLength(1);
      const holder = `h${tried.indexOf(true)}`;
      expect(await store.leases.isTaken(name)).toBe(true);
      await store.leases.renew(name, holder, 0);
      expect(await store.leases.isTaken(name)).toBe(false);
      expect(await store.leases.take(name, "next", LEASE_MS)).toBe(true);
      await expect(store.leases.renew(name, holder, LEASE_MS)).rejects.toMatchObject({ code: "lease_lost" });
      await store.leases.release(name, holder);
      expect(await store.leases.isTaken(name)).toBe(true);
      await store.leases.release(name, "next");
      expect(await store.leases.isTaken(name)).toBe(false);
    });
  });

  describe("requests about the disk", () => {
    it("are kept until they are answered once, and a collection is an audit event", async () => {
      const by = { keyId: "admin", keyName: "admin", requestId: "r" };
      const run = await store.disk.runs.ask("collect", by);
      expect((await store.disk.runs.listAsked()).map(({ id }) => id)).toContain(run.id);
      const collection = { dryRun: false, bytes: 0, taken: [], left: [] };
      await store.disk.runs.finish(run.id, { collection }, 100);
      expect(await store.disk.runs.find(run.id)).toMatchObject({ collection, finishedAt: expect.any(Date) });
      await expect(store.disk.runs.finish(run.id, { collection }, 100)).rejects.toMatchObject({
        code: "lease_lost",
      });
      const { items } = await store.events.list({ kind: "disk.collect" }, { limit: 10 });
      expect(items).toMatchObject([{ subject: run.id, actor: by, result: "done" }]);
    });

    it("keep only the newest answers", async () => {
      const runs = [];
      for (let n = 0; n < 4; n += 1) runs.push(await store.disk.runs.ask("report"));
      for (const { id } of runs) await store.disk.runs.finish(id, { report: { areas: [] } }, 2);
      const left = await Promise.all(runs.map(({ id }) => store.disk.runs.find(id)));
      expect(left.map((run) => run !== undefined)).toEqual([false, false, true, true]);
    });
  });
});
