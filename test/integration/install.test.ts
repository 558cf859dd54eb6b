import { describe, expect, test } from "vitest";
import { Fault } from "../../src/domain/fault.ts";
import type { TaskStep } from "../../src/domain/task.ts";
import { createTaskWatch } from "../../src/installation/task-engine/task-watch.ts";
import { systemClock } from "../../src/util/clock.ts";
import { LocalQueue } from "../harness/doubles/local-queue.ts";
import { aTenant, type InstallRig, progressOf, useInstallRig } from "../harness/rigs/installer.ts";
import { ON_POSTGRES } from "../harness/rigs/stores.ts";

describe.each(ON_POSTGRES)("an install on $name", ({ create }) => {
  let rig: InstallRig;
  useInstallRig(create, (opened) => {
    rig = opened;
  });

  test("passes its steps to ready, and a second tenant's install builds nothing", async () => {
    const identifier = await rig.upload({ warnings: ["manifest.json: something was left out"] });
    const { run, requests, queue, keeper } = rig.worker();
    const first = await requests.install({ tenantId: aTenant(), identifier, asTenant: false });
    expect(queue.jobs).toHaveLength(1);
    await run(first.task.id);
    const watch = createTaskWatch({
      store: rig.store,
      queue,
      clock: systemClock,
      pollMs: 50,
      beforeEnd: () => Promise.resolve(),
    });
    const events = await Array.fromAsync(watch.events(first.task.id, 0, AbortSignal.timeout(10_000)));
    expect(events.flatMap((event) => (event.type === "step" ? [event.step] : []))).toEqual(
      expect.arrayContaining(["fetching", "verifying", "resolving", "building", "starting", "ready"]),
    );
    expect(events.at(-1)).toMatchObject({ type: "end", state: "ready" });
    expect(events.map(({ seq }) => seq)).toEqual(events.map((_event, at) => at + 1));
    expect(events.flatMap((event) => (event.type === "warning" ? [event.message] : []))).toEqual([
      expect.stringContaining("neither pyproject.toml nor requirements.txt"),
      "manifest.json: something was left out",
      "The package asks for Python 3.12 and runs on 3.13.",
    ]);

    const second = await requests.install({ tenantId: aTenant(), identifier, asTenant: false });
    await run(second.task.id);
    expect(progressOf(await rig.events(second.task.id))).toEqual(["the image was there already"]);
    expect(new Set(keeper.started).size).toBe(2);
  });

  test("by ten tenants at once needs one build and ten pools", async () => {
    const identifier = await rig.upload();
    const { run, requests, keeper } = rig.worker();
    const accepted = await Promise.all(
      Array.from({ length: 10 }, () =>
        requests.install({ tenantId: aTenant(), identifier, asTenant: false }),
      ),
    );
    await Promise.all(accepted.map(({ task }) => run(task.id)));
    const all = await Promise.all(accepted.map(({ task }) => rig.events(task.id)));
    expect(all.filter((events) => progressOf(events).includes("the image is built"))).toHaveLength(1);
    expect(all.map((events) => events.at(-1))).toEqual(
      Array.from({ length: 10 }, () => expect.objectContaining({ type: "end", state: "ready" })),
    );
    expect(new Set(keeper.started).size).toBe(10);
  });

  test("by two tenants uses one pool with the operator's limits if the operator shares it", async () => {
    const identifier = await rig.upload();
    const sharedLimits = { memoryBytes: 300 << 20, storageBytes: 8 << 20, cpuMillis: 700 } as const;
    const limits = {
      ...sharedLimits,
      pidsMax: 60,
      concurrencyMax: 5,
      timeoutMs: 10_000,
      replicasMin: 1,
      replicasMax: 1,
    };
    const { run, requests, keeper } = rig.worker({
      isolation: { default: "shared", plugins: {} },
      sharedLimits: limits,
    });
    for (const tenantId of [aTenant(), aTenant()]) {
      const { task } = await requests.install({ tenantId, identifier, asTenant: false });
      await run(task.id);
    }
    const [pool, ...others] = new Set(keeper.started);
    expect(others).toEqual([]);
    expect(await rig.store.pools.find(pool ?? "")).toMatchObject({ tenantId: undefined, limits });
  });

  test.each<TaskStep>(["fetching", "verifying", "resolving", "building", "starting"])(
    "whose worker ends in the step %s is completed by another worker",
    async (step) => {
      const identifier = await rig.upload();
      const queue = new LocalQueue();
      const { run, requests } = rig.worker({ queue });
      const { task } = await requests.install({ tenantId: aTenant(), identifier, asTenant: false });
      const stop = new AbortController();
      await queue.subscribe(`task.${task.id}`, (message) => {
        if (message === step) stop.abort(new Fault("shutting_down", "killed"));
      });
      await run(task.id, stop.signal);
      expect(stop.signal.aborted).toBe(true);
      expect((await rig.store.tasks.find(task.id))?.finishedAt).toBeUndefined();
      await rig.worker().run(task.id);
      expect((await rig.events(task.id)).at(-1)).toMatchObject({ type: "end", state: "ready" });
      expect(await rig.containers()).toEqual([]);
    },
  );

  test("whose start fails permanently fails with its cause, and its pool is no longer wanted", async () => {
    const identifier = await rig.upload();
    const { run, requests, keeper } = rig.worker();
    keeper.failure = new Fault("start_crashed", "it crashed", { details: { log: ["Traceback"] } });
    const { task, installation } = await requests.install({
      tenantId: aTenant(),
      identifier,
      asTenant: false,
    });
    await run(task.id);
    expect(await rig.store.tasks.find(task.id)).toMatchObject({
      state: "failed",
      cause: { code: "start_crashed" },
    });
    expect(await rig.store.installations.find(installation.id)).toMatchObject({ state: "failed" });
    expect((await rig.store.pools.find(keeper.started[0] ?? ""))?.wanted).toBe(false);
  });

  test("that fails with a temporary cause is retried and then given up", async () => {
    const identifier = await rig.upload();
    const { run, requests, keeper } = rig.worker();
    keeper.failure = new Fault("engine_unavailable", "away");
    const { task } = await requests.install({ tenantId: aTenant(), identifier, asTenant: false });
    await run(task.id);
    expect((await rig.events(task.id)).at(-1)).toMatchObject({
      type: "retry",
      cause: { code: "engine_unavailable" },
    });
    const isClaimable = async () =>
      (await rig.store.tasks.listClaimable(50)).some(({ id }) => id === task.id);
    await expect.poll(isClaimable, { interval: 10 }).toBe(true);
    await run(task.id);
    expect(await rig.store.tasks.find(task.id)).toMatchObject({ state: "failed" });
  });

  test("that is waiting is cancelled by an uninstall, which leaves no installation", async () => {
    const identifier = await rig.upload();
    const { run, requests } = rig.worker();
    const install = await requests.install({ tenantId: aTenant(), identifier, asTenant: false });
    const uninstall = await requests.uninstall(install.installation.id);
    await run(uninstall.task.id);
    expect(await rig.store.tasks.find(install.task.id)).toMatchObject({ state: "cancelled" });
    expect(await rig.store.installations.find(install.installation.id)).toBeUndefined();
  });

  test("of a package that the tenant may not see fails as package_not_found", async () => {
    const identifier = await rig.upload();
    const { requests } = rig.worker();
    const request = { tenantId: aTenant(), identifier, asTenant: true };
    await expect(requests.install(request)).rejects.toMatchObject({
      code: "package_not_found",
      details: { value: identifier },
    });
  });
});
