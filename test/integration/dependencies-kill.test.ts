/**
 * A worker dies at any call to the database while plugins that need each other are installed, or undone: the next one
 * comes to the same end, with everything installed once or nothing left.
 */
import { randomUUID } from "node:crypto";
import { beforeAll, describe, expect, test } from "vitest";
import type { TaskId } from "../../src/domain/ids.ts";
import type { Store } from "../../src/store/store.ts";
import { mortalStore } from "../harness/doubles/mortal-store.ts";
import { aTenant, type InstallRig, useInstallRig } from "../harness/rigs/installer.ts";
import { type NeedsRig, openNeedsRig } from "../harness/rigs/needs-rig.ts";
import { ON_POSTGRES } from "../harness/rigs/stores.ts";
import { length } from "../harness/samples/lengths.ts";

const NEVER = Number.POSITIVE_INFINITY;
/** Every so many calls one is a death; all of them take minutes. */
const STRIDE = length({ short: 20, soak: 1 });

describe.each(ON_POSTGRES)("a worker on $name that dies at any moment", ({ create }) => {
  let rig: InstallRig;
  let needs: NeedsRig;
  let packages: { readonly base: string; readonly top: string };
  let plugins: { readonly base: string; readonly top: string };
  useInstallRig(create, (opened) => {
    rig = opened;
  });
  beforeAll(async () => {
    needs = openNeedsRig(rig);
    const own = randomUUID().slice(0, 8);
    const base = await needs.upload(`base_${own}`);
    packages = { base, top: await needs.upload(`top_${own}`, [base]) };
    plugins = { base: `acme/base_${own}`, top: `acme/top_${own}` };
  });

  /** As the sweeper sees it once the lease of the dead is over: whatever is unfinished and free is handed over. */
  async function bury(taskId: TaskId): Promise<void> {
    const task = await rig.store.tasks.find(taskId);
    if (task !== undefined) await rig.store.tasks.release(taskId, task.attempt, 0).catch(() => undefined);
    for (const { id, attempt } of await rig.store.tasks.listClaimable(100))
      await needs.queue.enqueue("task.run", { taskId: id, attempt });
  }

  /** Installs for a tenant of its own with a worker that dies before its n-th call; another one goes on. */
  async function installAndDie(dieAt: number, { broken }: { readonly broken: readonly string[] }) {
    const mortal = mortalStore(rig.store, dieAt);
    const dying = workerOf(mortal.store, broken);
    const next = workerOf(rig.store, broken);
    const tenantId = aTenant();
    const { task } = await needs.install(tenantId, packages.top);
    for (let job = needs.queue.jobs.shift(); job !== undefined; job = needs.queue.jobs.shift()) {
      const { taskId } = job.payload as { taskId: TaskId };
      const isDead = mortal.calls >= dieAt;
      await (isDead ? next : dying).worker.run(taskId).catch(() => undefined);
      if (!isDead && mortal.calls >= dieAt) await bury(taskId);
    }
    const started = [...dying.started, ...next.started];
    return { tenantId, task: await needs.task(task.id), calls: mortal.calls, started };
  }

  function workerOf(store: Store, broken: readonly string[]): NeedsRig {
    const worker = openNeedsRig(rig, { store, queue: needs.queue });
    for (const plugin of broken) worker.broken.add(plugin);
    return worker;
  }

  async function eachDeath(
    broken: readonly string[],
    check: (end: Awaited<ReturnType<typeof installAndDie>>) => Promise<void>,
  ): Promise<void> {
    const clean = await installAndDie(NEVER, { broken });
    await check(clean);
    expect(clean.calls).toBeGreaterThan(20);
    for (let dieAt = 1; dieAt <= clean.calls; dieAt += STRIDE)
      await check(await installAndDie(dieAt, { broken })).catch((error: unknown) => {
        throw new Error(`after a death at call ${dieAt} of ${clean.calls}`, { cause: error });
      });
  }

  test("leaves an install that its successor completes, with nothing installed twice", async () => {
    await eachDeath([], async ({ task, tenantId }) => {
      expect(task).toMatchObject({ state: "ready" });
      expect(await needs.has(tenantId)).toEqual({ [plugins.base]: "ready", [plugins.top]: "ready" });
      const { items } = await rig.store.tasks.list({ tenantId }, { limit: 50 });
      expect(items.map(({ kind, state }) => [kind, state])).toEqual([
        ["install", "ready"],
        ["install", "ready"],
      ]);
    });
  });

  test("leaves a failed install that its successor undoes completely", async () => {
    await eachDeath([plugins.top], async ({ task, tenantId }) => {
      expect(task).toMatchObject({ state: "failed", cause: { code: "start_crashed" } });
      expect(await needs.has(tenantId)).toEqual({ [plugins.top]: "failed" });
    });
  });
});
