import { describe, expect, it } from "vitest";
import { RuntimeId, TenantId } from "../../src/domain/ids.ts";
import type { Limits } from "../../src/domain/limits.ts";
import type { Package } from "../../src/domain/package.ts";
import type { Accepted } from "../../src/store/contracts/answers.ts";
import type { AcceptInstall } from "../../src/store/contracts/installations.ts";
import type { Store } from "../../src/store/store.ts";
import { type TestDatabase, useStore } from "../harness/rigs/stores.ts";

const LEASE_MS = 60_000;
const LIMITS: Limits = {
  ...{ memoryBytes: 2 ** 28, storageBytes: 2 ** 20, cpuMillis: 500 },
  ...{ pidsMax: 64, concurrencyMax: 10, timeoutMs: 30_000, replicasMin: 1, replicasMax: 1 },
};
const CAUSE = { code: "build_failed", message: "It did not build." } as const;

function aTenant(): TenantId {
  return TenantId.parse(crypto.randomUUID());
}

function aPackage(providers: Package["providers"] = [{ kind: "tool", name: "clock" }]): Package {
  const name = `p${crypto.randomUUID().slice(0, 8)}`;
  const checksum = "a".repeat(64);
  return {
    ...{ identifier: `acme/${name}:1.0.0@${checksum}`, pluginId: `acme/${name}`, author: "acme", name },
    ...{
      version: "1.0.0",
      checksum,
      bytes: 10,
      dialect: "real",
      declaration: { zebra: 1, ant: 2 },
      providers,
    },
    runner: { language: "python", version: "3.12", entrypoint: "main", arch: ["amd64"] },
    ...{ limitsAsked: { memoryIsHard: false }, dependencies: [], warnings: [] },
  };
}

function anInstall(pkg: Package, tenantId: TenantId): AcceptInstall {
  return {
    ...{ tenantId, pluginId: pkg.pluginId, identifier: pkg.identifier, limitsAsked: pkg.limitsAsked },
    ...{ limitsGranted: LIMITS, source: "package", meta: {}, warnings: [] },
  };
}

/** Every rule of the Store contract, on whichever database `create` makes. */
export function storeContract(create: () => Promise<TestDatabase>): void {
  let store: Store;
  useStore(create, (opened) => {
    store = opened;
  });

  async function accepted(pkg = aPackage(), tenantId = aTenant()): Promise<Accepted> {
    await store.packages.put(pkg, { tenantId });
    return store.installations.acceptInstall(anInstall(pkg, tenantId));
  }
  async function claimed({ task }: Accepted): Promise<number> {
    const taken = await store.tasks.claim(task.id, "worker-1", LEASE_MS);
    expect(taken).toBeDefined();
    return taken?.attempt ?? 0;
  }
  async function ready(pkg = aPackage(), tenantId = aTenant()): Promise<Accepted> {
    const asked = await accepted(pkg, tenantId);
    await store.installations.publishReady(asked.task.id, await claimed(asked));
    return asked;
  }

  describe("packages", () => {
    it("keeps the declaration's key order and says whether a package is new", async () => {
      const pkg = aPackage();
      expect(await store.packages.put(pkg, {})).toMatchObject({ created: true });
      const again = await store.packages.put(pkg, {});
      expect(again.created).toBe(false);
      expect(Object.keys(again.stored.declaration)).toEqual(["zebra", "ant"]);
    });

    it("shows a Tenant what it uploaded or installed, and nothing else", async () => {
      const [mine, other] = [aTenant(), aTenant()];
      const pkg = aPackage();
      await store.packages.put(pkg, { tenantId: other });
      expect(await store.packages.isVisibleTo(pkg.identifier, mine)).toBe(false);
      expect((await store.packages.list({ tenantId: mine }, { limit: 10 })).items).toEqual([]);
      await store.installations.acceptInstall(anInstall(pkg, mine));
      expect(await store.packages.isVisibleTo(pkg.identifier, mine)).toBe(true);
      expect((await store.packages.list({ tenantId: other }, { limit: 10 })).items).toHaveLength(1);
    });

    it("pages newest first and loses or repeats nothing", async () => {
      const tenantId = aTenant();
      const written: string[] = [];
      for (let n = 0; n < 7; n += 1) {
        const pkg = aPackage();
        await store.packages.put(pkg, { tenantId });
        written.unshift(pkg.identifier);
      }
      const seen: string[] = [];
      let cursor: string | undefined;
      do {
        const page = await store.packages.list(
          { tenantId },
          { limit: 3, ...(cursor === undefined ? {} : { cursor }) },
        );
        seen.push(...page.items.map(({ identifier }) => identifier));
        cursor = page.nextCursor;
      } while (cursor !== undefined);
      expect(seen).toEqual(written);
    });

    it("refuses a cursor that it never gave", async () => {
      await expect(store.packages.list({}, { limit: 1, cursor: "nonsense" })).rejects.toMatchObject({
        code: "invalid_input",
        details: { field: "cursor", value: "nonsense" },
      });
    });
  });

  describe("acceptance", () => {
    it("gives ten concurrent requests one Installation and one task", async () => {
      const pkg = aPackage();
      const tenantId = aTenant();
      await store.packages.put(pkg, { tenantId });
      const answers = await Promise.all(
        Array.from({ length: 10 }, () => store.installations.acceptInstall(anInstall(pkg, tenantId))),
      );
      expect(new Set(answers.map(({ installation }) => installation.id)).size).toBe(1);
      expect(new Set(answers.map(({ task }) => task.id)).size).toBe(1);
      expect(answers.filter(({ created }) => created)).toHaveLength(1);
    });

    it("refuses another version of what is installed", async () => {
      const { installation } = await accepted();
      const other = { ...aPackage(), pluginId: installation.pluginId };
      await expect(
        store.installations.acceptInstall(anInstall(other, installation.tenantId)),
      ).rejects.toMatchObject({ code: "conflict", details: { accepted: installation.identifier } });
    });

    it("gives a failed Installation a new task", async () => {
      const pkg = aPackage();
      const first = await accepted(pkg);
      const end = { state: "failed", cause: CAUSE, markInstallation: true } as const;
      await store.tasks.finish(first.task.id, await claimed(first), end);
      expect(await store.installations.find(first.installation.id)).toMatchObject({
        state: "failed",
        cause: CAUSE,
      });
      const second = await store.installations.acceptInstall(anInstall(pkg, first.installation.tenantId));
      expect(second.installation).toMatchObject({
        id: first.installation.id,
        state: "installing",
        cause: undefined,
      });
      expect(second.task.id).not.toBe(first.task.id);
      expect((await store.tasks.latestOf(first.installation.id))?.id).toBe(second.task.id);
    });

    it("replays the first answer to an idempotency key and refuses another request with it", async () => {
      const pkg = aPackage();
      const tenantId = aTenant();
      await store.packages.put(pkg, { tenantId });
      const idempotency = { holder: "key-1", key: crypto.randomUUID(), requestHash: "one" };
      const request = { ...anInstall(pkg, tenantId), idempotency };
      const answers = await Promise.all([
        store.installations.acceptInstall(request),
        store.installations.acceptInstall(request),
      ]);
      expect(answers[1]).toEqual(answers[0]);
      await expect(
        store.installations.acceptInstall({
          ...request,
          idempotency: { ...idempotency, requestHash: "two" },
        }),
      ).rejects.toMatchObject({ code: "idempotency_mismatch" });
    });

    it("leaves an idempotency key free when its request was refused", async () => {
      const { installation } = await accepted();
      const other = { ...aPackage(), pluginId: installation.pluginId };
      const idempotency = { holder: "key-1", key: crypto.randomUUID(), requestHash: "one" };
      const refused = { ...anInstall(other, installation.tenantId), idempotency };
      await expect(store.installations.acceptInstall(refused)).rejects.toMatchObject({ code: "conflict" });
      const pkg = aPackage();
      await store.packages.put(pkg, {});
      const request = { ...anInstall(pkg, aTenant()), idempotency: { ...idempotency, requestHash: "two" } };
      expect(await store.installations.acceptInstall(request)).toMatchObject({ created: true });
    });

    it("cancels an install in flight when its uninstall is accepted, and answers a repetition with the same task", async () => {
      const install = await accepted();
      const attempt = await claimed(install);
      const [first, second] = [
        await store.installations.acceptUninstall(install.installation.id),
        await store.installations.acceptUninstall(install.installation.id),
      ];
      expect(first.installation.state).toBe("removing");
      expect(second.task.id).toBe(first.task.id);
      expect(await store.tasks.find(install.task.id)).toMatchObject({ state: "cancelled" });
      await expect(store.installations.publishReady(install.task.id, attempt)).rejects.toMatchObject({
        code: "lease_lost",
      });
      await expect(
        store.installations.acceptInstall(
          anInstall({ ...aPackage(), ...install.installation }, install.installation.tenantId),
        ),
      ).rejects.toMatchObject({ code: "conflict" });
    });
  });

  describe("tasks", () => {
    it("lets one of many claim a task", async () => {
      const { task } = await accepted();
      const taken = await Promise.all(
        Array.from({ length: 8 }, (_, n) => store.tasks.claim(task.id, `worker-${n}`, LEASE_MS)),
      );
      expect(taken.filter((claim) => claim !== undefined)).toHaveLength(1);
    });

    it("hands over a task whose lease has run out and refuses what the first holder writes then", async () => {
      const { task } = await accepted();
      const stale = await store.tasks.claim(task.id, "worker-1", 0);
      const next = await store.tasks.claim(task.id, "worker-2", LEASE_MS);
      expect(next?.attempt).toBe((stale?.attempt ?? 0) + 1);
      const attempt = stale?.attempt ?? 0;
      const lost = { code: "lease_lost" };
      await expect(store.tasks.setStep(task.id, attempt, "building")).rejects.toMatchObject(lost);
      await expect(store.tasks.renew(task.id, attempt, LEASE_MS)).rejects.toMatchObject(lost);
      await expect(store.tasks.release(task.id, attempt, 0)).rejects.toMatchObject(lost);
      await expect(store.installations.publishReady(task.id, attempt)).rejects.toMatchObject(lost);
      expect((await store.tasks.find(task.id))?.state).toBe("queued");
    });

    it("hands over a task whose lease was written by a clock that has been set back since", async () => {
      const { task } = await accepted();
      const ahead = await store.tasks.claim(task.id, "worker-1", 3_600_000);
      expect((await store.tasks.listClaimable(10_000)).map(({ id }) => id)).toContain(task.id);
      const next = await store.tasks.claim(task.id, "worker-2", LEASE_MS);
      expect(next?.attempt).toBe((ahead?.attempt ?? 0) + 1);
      expect((await store.tasks.listClaimable(10_000)).map(({ id }) => id)).not.toContain(task.id);
    });

    it("makes a released task claimable after its delay and not before", async () => {
      const asked = await accepted();
      const attempt = await claimed(asked);
      const isListed = async () =>
        (await store.tasks.listClaimable(10_000)).some(({ id }) => id === asked.task.id);
      expect(await isListed()).toBe(false);
      await store.tasks.release(asked.task.id, attempt, LEASE_MS);
      expect(await isListed()).toBe(false);
      expect(await store.tasks.claim(asked.task.id, "worker-2", LEASE_MS)).toBeUndefined();
      const other = await accepted();
      await store.tasks.release(other.task.id, await claimed(other), 0);
      expect(await store.tasks.claim(other.task.id, "worker-2", LEASE_MS)).toMatchObject({ attempt: 2 });
    });

    it("numbers events from 1 without a gap, also when they are written at once", async () => {
      const asked = await accepted();
      const attempt = await claimed(asked);
      await Promise.all(
        Array.from({ length: 6 }, (_, n) =>
          store.tasks.append(asked.task.id, attempt, [
            { type: "log", step: "building", text: `${n}a` },
            { type: "log", step: "building", text: `${n}b` },
          ]),
        ),
      );
      const events = await store.tasks.events(asked.task.id, 0);
      expect(events.map(({ seq }) => seq)).toEqual(Array.from({ length: 13 }, (_, n) => n + 1));
      expect(events[0]).toMatchObject({ type: "step", step: "queued" });
      expect(await store.tasks.events(asked.task.id, 12)).toHaveLength(1);
    });

    it("ends with an `end` event and is claimed by nobody afterwards", async () => {
      const asked = await accepted();
      await store.installations.publishReady(asked.task.id, await claimed(asked));
      const events = await store.tasks.events(asked.task.id, 0);
      expect(events.at(-1)).toMatchObject({ type: "end", state: "ready" });
      expect(await store.tasks.claim(asked.task.id, "worker-2", LEASE_MS)).toBeUndefined();
      expect((await store.tasks.find(asked.task.id))?.finishedAt).toBeInstanceOf(Date);
    });
  });

  describe("changes", () => {
    it("tells what changed since the last answer, and what is gone", async () => {
      const asked = await ready();
      const before = await store.installations.changedSince(undefined);
      expect(before.items.map(({ id }) => id)).toContain(asked.installation.id);
      await store.installations.setState(asked.installation.id, "crash_loop", CAUSE);
      const changed = await store.installations.changedSince(before.at);
      expect(changed.items.find(({ id }) => id === asked.installation.id)).toMatchObject({
        state: "crash_loop",
      });
      const uninstall = await store.installations.acceptUninstall(asked.installation.id);
      await store.installations.publishRemoved(uninstall.task.id, await claimed(uninstall));
      const after = await store.installations.changedSince(changed.at);
      expect(after.removed).toContain(asked.installation.id);
      expect(after.items.map(({ id }) => id)).not.toContain(asked.installation.id);
    });
  });

  describe("images", () => {
    it("gives one of many the build, and all of them the image", async () => {
      const key = crypto.randomUUID();
      const claims = await Promise.all(
        Array.from({ length: 10 }, (_, n) => store.images.claim(key, "package", `worker-${n}`, LEASE_MS)),
      );
      expect(claims.filter(({ outcome }) => outcome === "claimed")).toHaveLength(1);
      expect(claims.filter(({ outcome }) => outcome === "held")).toHaveLength(9);
      await store.images.publish(key, 1, { imageRef: "sha256:1", bytes: 5_000_000_000, warnings: ["newer"] });
      expect(await store.images.claim(key, "package", "worker-1", LEASE_MS)).toEqual({
        ...{ outcome: "ready", imageRef: "sha256:1", warnings: ["newer"] },
      });
      expect((await store.images.find(key))?.bytes).toBe(5_000_000_000);
    });

    it("lets a failed, forgotten or abandoned build be claimed again and refuses the stale builder", async () => {
      const key = crypto.randomUUID();
      expect(await store.images.claim(key, "package", "worker-1", 0)).toEqual({
        outcome: "claimed",
        attempt: 1,
      });
      expect(await store.images.claim(key, "package", "worker-2", LEASE_MS)).toEqual({
        outcome: "claimed",
        attempt: 2,
      });
      const image = { imageRef: "sha256:1", bytes: 1, warnings: [] };
      await expect(store.images.publish(key, 1, image)).rejects.toMatchObject({ code: "lease_lost" });
      await store.images.fail(key, 2);
      expect(await store.images.claim(key, "package", "worker-1", LEASE_MS)).toEqual({
        outcome: "claimed",
        attempt: 3,
      });
      await store.images.publish(key, 3, image);
      await store.images.forget(key);
      expect(await store.images.claim(key, "package", "worker-1", LEASE_MS)).toEqual({
        outcome: "claimed",
        attempt: 4,
      });
    });
  });

  describe("pools, runtimes, keys, processes", () => {
    const pool = (key: string) => ({
      ...{
        key,
        tenantId: undefined,
        pluginId: "acme/p",
        identifier: "acme/p:1@a",
        imageKey: "k",
        imageRef: "r",
      },
      ...{ runner: { entrypoint: "main" }, limits: LIMITS, wanted: true },
    });

    it("gives each Pool a uid of its own that stays", async () => {
      const keys = Array.from({ length: 4 }, () => crypto.randomUUID());
      const made = await Promise.all([...keys, ...keys].map((key) => store.pools.ensure(pool(key))));
      expect(new Set(made.map(({ uidOffset }) => uidOffset)).size).toBe(4);
      expect(
        await store.pools.ensure({ ...pool(keys[0] ?? ""), imageRef: "r2", wanted: false }),
      ).toMatchObject({
        ...{ uidOffset: made[0]?.uidOffset, imageRef: "r2", wanted: false },
      });
    });

    it("lets the holder renew its lease, keeps others out, and hands over when it is released", async () => {
      const key = crypto.randomUUID();
      await store.pools.ensure(pool(key));
      const holder = `worker-${key}`;
      expect((await store.pools.claim(key, holder, LEASE_MS))?.lease?.attempt).toBe(1);
      expect((await store.pools.claim(key, holder, LEASE_MS))?.lease?.attempt).toBe(1);
      expect(await store.pools.claim(key, "worker-2", LEASE_MS)).toBeUndefined();
      await store.pools.releaseAll(holder);
      expect((await store.pools.claim(key, "worker-2", LEASE_MS))?.lease).toMatchObject({
        holder: "worker-2",
        attempt: 2,
      });
    });

    it("names the Pools that a holder lets go, and no other's", async () => {
      const [mine, others] = [crypto.randomUUID(), crypto.randomUUID()];
      for (const key of [mine, others]) await store.pools.ensure(pool(key));
      await store.pools.claim(mine, `worker-${mine}`, LEASE_MS);
      await store.pools.claim(others, `worker-${others}`, LEASE_MS);
      expect(await store.pools.releaseAll(`worker-${mine}`)).toEqual([mine]);
      expect((await store.pools.find(others))?.lease).toBeDefined();
    });

    it("numbers starts that are asked for at once, and keeps the newest answer", async () => {
      const key = crypto.randomUUID();
      expect(await store.pools.ensure(pool(key))).toMatchObject({ startAsked: 0, startAnswered: 0 });
      const asked = await Promise.all([1, 2, 3].map(() => store.pools.askStart(key)));
      expect(asked.sort()).toEqual([1, 2, 3]);
      await store.pools.answerStart(key, 2, CAUSE);
      await store.pools.answerStart(key, 1, undefined);
      expect(await store.pools.find(key)).toMatchObject({ startAnswered: 2, startFault: CAUSE });
      await store.pools.answerStart(key, 3, undefined);
      expect(await store.pools.find(key)).toMatchObject({ startAnswered: 3, startFault: undefined });
      await expect(store.pools.askStart("none")).rejects.toMatchObject({ code: "not_found" });
    });

    it("takes a removal that was asked for back when somebody needs the Pool again", async () => {
      const key = crypto.randomUUID();
      await store.pools.ensure(pool(key));
      await store.pools.askRemoval(key, true);
      expect((await store.pools.find(key))?.removalAsked).toBe(false);
      expect(await store.pools.unwantUnused(key)).toBe(true);
      await store.pools.askRemoval(key, true);
      expect((await store.pools.find(key))?.removalAsked).toBe(true);
      expect((await store.pools.ensure(pool(key))).removalAsked).toBe(false);
    });

    it("counts the Installations that point to a Pool, and lets nobody remove it under them", async () => {
      const key = crypto.randomUUID();
      const asked = await ready();
      await store.installations.setPool(asked.installation.id, key, []);
      await store.pools.ensure(pool(key));
      expect(await store.pools.unwantUnused(key)).toBe(false);
      expect(await store.pools.removeUnused(key)).toBe(false);
      await store.installations.acceptUninstall(asked.installation.id);
      expect(await store.pools.unwantUnused(key)).toBe(true);
      expect((await store.pools.find(key))?.wanted).toBe(false);
      expect(await store.pools.removeUnused(key)).toBe(true);
      expect(await store.pools.find(key)).toBeUndefined();
      expect(await store.pools.unwantUnused(key)).toBe(false);
    });

    it("keeps the first end of a Runtime and counts generations past ended ones", async () => {
      const poolKey = crypto.randomUUID();
      const id = crypto.randomUUID().replaceAll("-", "").slice(0, 10);
      const runtimeId = RuntimeId.parse(id);
      expect(await store.runtimes.nextGeneration(poolKey)).toBe(1);
      await store.runtimes.create({
        ...{ id: runtimeId, poolKey, slot: 0, generation: 1, containerName: `c-${id}`, specHash: "h" },
      });
      await store.runtimes.setState(runtimeId, "ready");
      expect((await store.runtimes.listLive()).map((runtime) => runtime.id)).toContain(runtimeId);
      await store.runtimes.end(runtimeId, { reason: "oom", exitCode: 137, oom: true });
      await store.runtimes.end(runtimeId, { reason: "lost" });
      expect(await store.runtimes.find(runtimeId)).toMatchObject({ state: "ended", end: { reason: "oom" } });
      expect(await store.runtimes.nextGeneration(poolKey)).toBe(2);
    });

    it("keeps the history of a plugin's Runtimes, with what Berth did, until it is old", async () => {
      const [tenantId, other] = [aTenant(), aTenant()];
      const pluginId = `berth/history-${crypto.randomUUID().slice(0, 8)}`;
      const since = new Date(Date.now() - 60_000);
      const made: string[] = [];
      for (const owner of [tenantId, undefined, other]) {
        const id = RuntimeId.parse(crypto.randomUUID().replaceAll("-", "").slice(0, 10));
        const poolKey = crypto.randomUUID();
        const names = {
          containerName: `c-${id}`,
          specHash: "h",
          pluginId,
          identifier: `${pluginId}:1.0.0@ff`,
        };
        await store.runtimes.create({ id, poolKey, slot: 0, generation: 1, tenantId: owner, ...names });
        expect((await store.runtimes.listLive(poolKey)).map((runtime) => runtime.id)).toEqual([id]);
        await store.runtimes.end(id, { reason: "unhealthy", exitCode: 137, message: "why", logs: ["last"] });
        await store.runtimes.noteAction(id, { kind: "start_later", delayMs: 1_000 });
        made.unshift(id);
      }
      const history = await store.runtimes.listOfPlugin({ tenantId, pluginId, since }, 10);
      expect(history.map(({ id }) => id)).toEqual(made.slice(1));
      expect(history[1]).toMatchObject({ tenantId, pluginId, identifier: `${pluginId}:1.0.0@ff` });
      expect(history[1]?.end).toEqual({
        reason: "unhealthy",
        exitCode: 137,
        message: "why",
        logs: ["last"],
        action: { kind: "start_later", delayMs: 1_000 },
      });
      const later = { tenantId, pluginId, since: new Date(Date.now() + 60_000) };
      expect(await store.runtimes.listOfPlugin(later, 10)).toEqual([]);
      await store.runtimes.purge(1, 100);
      expect(await store.runtimes.listOfPlugin({ tenantId, pluginId, since }, 10)).toHaveLength(2);
      while ((await store.runtimes.purge(0, 100)) > 0);
      expect(await store.runtimes.listOfPlugin({ tenantId, pluginId, since }, 10)).toEqual([]);
    });

    it("revokes a key once and refuses a second one with the same hash", async () => {
      const hash = crypto.randomUUID();
      const key = await store.keys.create({ name: "n", hint: "bk_1", hash, tenantId: undefined });
      await expect(
        store.keys.create({ name: "n", hint: "bk_1", hash, tenantId: undefined }),
      ).rejects.toMatchObject({
        code: "conflict",
      });
      const revoked = await store.keys.revoke(key.id);
      expect(revoked.revokedAt).toBeInstanceOf(Date);
      expect((await store.keys.revoke(key.id)).revokedAt).toEqual(revoked.revokedAt);
      await expect(store.keys.revoke("nobody")).rejects.toMatchObject({ code: "not_found" });
    });

    it("counts a process as live until its time has run out or it leaves", async () => {
      const [id, short, gone] = Array.from({ length: 3 }, () => crypto.randomUUID().slice(0, 8));
      const live = async () => (await store.processes.listLive()).map((process) => process.id);
      const self = { role: "api", host: "h", pid: 7 } as const;
      await store.processes.announce({ ...self, id: id ?? "" }, LEASE_MS);
      await store.processes.announce({ ...self, id: short ?? "" }, 1);
      await store.processes.announce({ ...self, id: gone ?? "" }, LEASE_MS);
      await store.processes.leave(gone ?? "");
      await expect.poll(live).not.toContain(short);
      expect(await live()).toContain(id);
      expect(await live()).not.toContain(gone);
      await store.processes.announce({ ...self, id: short ?? "" }, LEASE_MS);
      const found = (await store.processes.listLive()).find((process) => process.id === short);
      expect(found).toMatchObject(self);
      expect(Math.abs((found?.startedAt.getTime() ?? 0) - Date.now())).toBeLessThan(60_000);
    });

    it("tells the time by the database's clock, whatever zone the server is set to", async () => {
      const { at } = await store.installations.changedSince(undefined);
      expect(Math.abs(at.getTime() - Date.now())).toBeLessThan(60_000);
      const { stored } = await store.packages.put(aPackage(), {});
      expect(Math.abs(stored.createdAt.getTime() - Date.now())).toBeLessThan(60_000);
    });
  });
}
