/** What was asked for at once: each item by itself, whatever becomes of the others and of the worker. */
import { randomUUID } from "node:crypto";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { BERTH_ITSELF } from "../../src/domain/audit.ts";
import type { TaskId, TenantId } from "../../src/domain/ids.ts";
import { createBatches } from "../../src/installation/batch/batches.ts";
import { acceptChange } from "../../src/installation/requests/accept-tasks.ts";
import { silentLog } from "../../src/observe/log.ts";
import type { Store } from "../../src/store/store.ts";
import { mortalStore } from "../harness/doubles/mortal-store.ts";
import { aTenant, type InstallRig, useInstallRig } from "../harness/rigs/installer.ts";
import { type NeedsRig, openNeedsRig } from "../harness/rigs/needs-rig.ts";
import { ON_POSTGRES } from "../harness/rigs/stores.ts";
import { length } from "../harness/samples/lengths.ts";

const NEVER = Number.POSITIVE_INFINITY;
/** Every so many calls one is a death; all of them take minutes. */
const STRIDE = length({ short: 16, soak: 1 });
const by = BERTH_ITSELF;
const PAGE = { page: 1, pageSize: 10 };

describe.each(ON_POSTGRES)("a batch on $name", ({ create }) => {
  let rig: InstallRig;
  let needs: NeedsRig;
  let tenantId: TenantId;
  let names: readonly string[];
  useInstallRig(create, (opened) => {
    rig = opened;
  });
  beforeAll(() => {
    needs = openNeedsRig(rig);
  });
  beforeEach(() => {
    tenantId = aTenant();
    names = ["a", "b", "c"].map((letter) => `${letter}_${randomUUID().slice(0, 8)}`);
    needs.broken.clear();
  });

  const plugin = (place: number) => `acme/${names[place]}`;
  const upload = (place: number, version = "1.0.0") => needs.upload(names[place] ?? "", [], { version });
  const batchesOn = (store: Store) => createBatches({ store, queue: needs.queue, log: silentLog });
  const asked = (identifier: string, source = "package") => ({ identifier, source, meta: { from: source } });

  async function accept(...identifiers: readonly string[]): Promise<TaskId> {
    const items = identifiers.map((identifier) => asked(identifier));
    const id = await batchesOn(rig.store).install({ tenantId, items, by });
    if (id === undefined) throw new Error("all is installed");
    return id;
  }
  const upgrade = (original: string, identifier: string, source = "github") =>
    batchesOn(rig.store).upgrade({ tenantId, original, item: asked(identifier, source), by });

  async function shown(id: TaskId) {
    const task = await rig.store.platformTasks.find(tenantId, id);
    return [task?.status, ...(task?.items ?? []).map(({ status, message }) => `${status}: ${message}`)];
  }

  test("installs each item that can be installed and reports why the others cannot", async () => {
    const identifiers = [await upload(0), await upload(1), await upload(2)];
    needs.broken.add(plugin(1));
    const id = await accept(...identifiers);
    await needs.drain();
    expect(await needs.has(tenantId)).toEqual({
      [plugin(0)]: "ready",
      [plugin(1)]: "failed",
      [plugin(2)]: "ready",
    });
    const cause = `${plugin(1)} does not start.`;
    expect(await shown(id)).toEqual([
      ...["failed", "success: installed", `failed: ${cause} (start_crashed)`, "success: installed"],
    ]);
    expect(await needs.task(id)).toMatchObject({
      kind: "batch",
      state: "failed",
      cause: { code: "install_failed", message: expect.stringContaining(cause) },
    });
    const children = await rig.store.tasks.children(id);
    expect(children.map(({ kind, state }) => `${kind} ${state}`).sort()).toEqual([
      ...["install failed", "install ready", "install ready"],
    ]);
  });

  test("creates no task for plugins that are installed in any version, and leaves them unchanged beside other items", async () => {
    const [old, next, other] = [await upload(0), await upload(0, "2.0.0"), await upload(1)];
    await needs.install(tenantId, old);
    await needs.drain();
    const nothing = await batchesOn(rig.store).install({ tenantId, items: [asked(next)], by });
    expect(nothing).toBeUndefined();
    const id = await accept(next, other);
    await needs.drain();
    expect(await shown(id)).toEqual(["success", "success: installed", "success: installed"]);
    expect(await needs.installed(tenantId, plugin(0))).toMatchObject({ identifier: old });
    expect(await rig.store.tasks.children(id)).toHaveLength(1);
  });

  test("installs a second version of a plugin whose first version failed to install", async () => {
    const [first, second] = [await upload(0), await upload(0, "2.0.0")];
    needs.broken.add(plugin(0));
    await accept(first);
    await needs.drain();
    needs.broken.clear();
    const id = await accept(second);
    await needs.drain();
    expect(await shown(id)).toEqual(["success", "success: installed"]);
    expect(await needs.installed(tenantId, plugin(0))).toMatchObject({ identifier: second, state: "ready" });
    expect(await rig.store.platform.findInstallation(tenantId, plugin(0))).toMatchObject({
      identifier: second,
      source: "package",
      meta: { from: "package" },
    });
  });

  test("joins a running install of the same package and waits for an install of another version", async () => {
    const [old, next, other] = [await upload(0), await upload(0, "2.0.0"), await upload(1)];
    await needs.install(tenantId, old);
    const joined = await needs.install(tenantId, other);
    const id = await accept(next, other);
    await needs.drain();
    expect(await shown(id)).toEqual(["success", "success: installed", "success: installed"]);
    expect(await needs.installed(tenantId, plugin(0))).toMatchObject({ identifier: old });
    expect(await rig.store.tasks.children(id)).toEqual([]);
    expect(await needs.task(joined.task.id)).toMatchObject({ state: "ready", parentId: undefined });
  });

  test("reinstalls a plugin that is being uninstalled once the uninstall is done", async () => {
    const identifier = await upload(0);
    const { installation } = await needs.install(tenantId, identifier);
    await needs.drain();
    await needs.worker.requests.uninstall(installation.id, { force: true });
    const removal = needs.queue.jobs.splice(0);
    const id = await accept(identifier);
    await needs.drain();
    expect(await shown(id)).toEqual(["running", "pending: "]);
    needs.queue.jobs.push(...removal);
    await needs.drain();
    expect(await shown(id)).toEqual(["success", "success: installed"]);
    const found = await needs.installed(tenantId, plugin(0));
    expect(found.state).toBe("ready");
    expect(found.id).not.toBe(installation.id);
  });

  test("for an upgrade replaces the installed version and stores the platform's source and meta", async () => {
    const [old, next] = [await upload(0), await upload(0, "2.0.0")];
    const { installation } = await needs.install(tenantId, old);
    await needs.drain();
    const id = await upgrade(old, next, "a store of its own");
    expect(await rig.store.platform.findInstallation(tenantId, plugin(0))).toMatchObject({ identifier: old });
    await needs.drain();
    expect(await shown(id)).toEqual(["success", "success: upgraded"]);
    expect(await rig.store.platform.findInstallation(tenantId, plugin(0))).toMatchObject({
      id: installation.id,
      identifier: next,
      source: "a store of its own",
      meta: { from: "a store of its own" },
    });
    expect(await needs.installed(tenantId, plugin(0))).toMatchObject({
      source: "package",
      previousIdentifier: old,
    });
    await expect(upgrade(old, next)).rejects.toMatchObject({ code: "installation_not_found" });
    const back = await upgrade(next, old);
    await needs.drain();
    expect(await shown(back)).toEqual(["success", "success: upgraded"]);
    expect(await needs.installed(tenantId, plugin(0))).toMatchObject({ identifier: old, source: "github" });
  });

  test("for an upgrade that fails keeps the old version and reports the cause", async () => {
    const [old, next] = [await upload(0), await upload(0, "2.0.0")];
    await needs.install(tenantId, old);
    await needs.drain();
    const never = old.replace("1.0.0", "3.0.0");
    const unknown = await upgrade(old, never);
    needs.broken.add(plugin(0));
    const broken = await upgrade(old, next);
    await needs.drain();
    expect(await shown(unknown)).toEqual([
      ...["failed", `failed: The package ${never} has not been uploaded. (package_not_found)`],
    ]);
    expect(await shown(broken)).toEqual(["failed", `failed: ${plugin(0)} does not start. (start_crashed)`]);
    expect(await needs.installed(tenantId, plugin(0))).toMatchObject({ identifier: old, state: "ready" });
  });

  test("for an upgrade waits for another change of the same plugin", async () => {
    const [old, next] = [await upload(0), await upload(0, "2.0.0")];
    const { installation } = await needs.install(tenantId, old);
    await needs.drain();
    const change = { id: installation.id, kind: "restart" } as const;
    await acceptChange({ store: rig.store, queue: needs.queue, log: silentLog }, change);
    const restart = needs.queue.jobs.splice(0);
    const id = await upgrade(old, next);
    await needs.drain();
    expect(await shown(id)).toEqual(["running", "pending: "]);
    needs.queue.jobs.push(...restart);
    await needs.drain();
    expect(await shown(id)).toEqual(["success", "success: upgraded"]);
  });

  test("that is cancelled keeps the installed items and cancels the others", async () => {
    const identifiers = [await upload(0), await upload(1)];
    const id = await accept(...identifiers);
    const second = await needs.drainUntil(plugin(1));
    await needs.worker.requests.cancel(id, by);
    needs.queue.jobs.push({ name: "task.run", payload: { taskId: second, attempt: 0 } });
    await needs.drain();
    expect(await needs.task(id)).toMatchObject({ state: "cancelled" });
    expect(await needs.has(tenantId)).toEqual({ [plugin(0)]: "ready" });
    expect((await shown(id))[0]).toBe("failed");
  });

  test("is visible to its own tenant only and installs for that tenant only", async () => {
    const id = await accept(await upload(0));
    const other = aTenant();
    expect(await rig.store.platformTasks.find(other, id)).toBeUndefined();
    expect(await rig.store.platformTasks.list(other, PAGE)).toEqual([]);
    await needs.drain();
    expect(await needs.has(other)).toEqual({});
  });

  describe("whose worker dies at any moment", () => {
    /** As the sweeper sees it once the lease of the dead is over: whatever is unfinished and free is handed over. */
    async function bury(taskId: TaskId): Promise<void> {
      const task = await rig.store.tasks.find(taskId);
      if (task !== undefined) await rig.store.tasks.release(taskId, task.attempt, 0).catch(() => undefined);
      for (const { id, attempt } of await rig.store.tasks.listClaimable(100))
        await needs.queue.enqueue("task.run", { taskId: id, attempt });
    }

    function workerOn(store: Store, broken: string): NeedsRig {
      const worker = openNeedsRig(rig, { store, queue: needs.queue });
      worker.broken.add(broken);
      return worker;
    }

    /** For a tenant of its own; the worker dies before its n-th call, and another one goes on. */
    async function runAndDie(dieAt: number, identifiers: readonly string[]) {
      tenantId = aTenant();
      const mortal = mortalStore(rig.store, dieAt);
      const [dying, next] = [workerOn(mortal.store, plugin(1)), workerOn(rig.store, plugin(1))];
      const id = await accept(...identifiers);
      for (let job = needs.queue.jobs.shift(); job !== undefined; job = needs.queue.jobs.shift()) {
        const { taskId } = job.payload as { taskId: TaskId };
        const isDead = mortal.calls >= dieAt;
        await (isDead ? next : dying).worker.run(taskId).catch(() => undefined);
        if (!isDead && mortal.calls >= dieAt) await bury(taskId);
      }
      return { id, calls: mortal.calls };
    }

    test("reaches the same result: no item is lost and none is installed twice", async () => {
      const identifiers = [await upload(0), await upload(1), await upload(2)];
      const check = async ({ id }: { readonly id: TaskId }) => {
        expect(await shown(id)).toEqual([
          ...["failed", "success: installed"],
          ...[`failed: ${plugin(1)} does not start. (start_crashed)`, "success: installed"],
        ]);
        const { items } = await rig.store.tasks.list({ tenantId }, { limit: 50 });
        expect(items.map(({ kind, state }) => `${kind} ${state}`).sort()).toEqual([
          ...["batch failed", "install failed", "install ready", "install ready"],
        ]);
      };
      const clean = await runAndDie(NEVER, identifiers);
      await check(clean);
      expect(clean.calls).toBeGreaterThan(20);
      for (let dieAt = 1; dieAt <= clean.calls; dieAt += STRIDE)
        await check(await runAndDie(dieAt, identifiers)).catch((error: unknown) => {
          throw new Error(`after a death at call ${dieAt} of ${clean.calls}`, { cause: error });
        });
    });
  });
});
