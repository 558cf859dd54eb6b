import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { appendFile } from "node:fs/promises";
import { Writable } from "node:stream";
import { describe, expect, test } from "vitest";
import { Fault } from "../../src/domain/fault.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { startSweeper } from "../../src/installation/task-engine/sweeper.ts";
import { createLog, silentLog } from "../../src/observe/log.ts";
import { systemClock } from "../../src/util/clock.ts";
import { LocalQueue } from "../harness/doubles/local-queue.ts";
import { buildSettings } from "../harness/rigs/build.ts";
import { aTenant, type InstallRig, progressOf, useInstallRig } from "../harness/rigs/installer.ts";
import { ON_POSTGRES } from "../harness/rigs/stores.ts";
import { startWheelIndex } from "../harness/servers/wheel-index.ts";

const PLAIN = { name: "plain", version: "1.0", files: { "plain.py": "VALUE = 8\n" } };

/** Takes until the signal aborts, and rejects with its reason then. */
async function aborted(signal: AbortSignal): Promise<never> {
  if (!signal.aborted) await once(signal, "abort");
  throw signal.reason;
}

/** An engine on which a commit takes until its signal aborts; told when it has begun. */
function stuckEngine(engine: Engine): { engine: Engine; reached: Promise<void> } {
  const { promise: reached, resolve } = Promise.withResolvers<void>();
  const commit: Engine["commit"] = (_id, _spec, signal) => {
    resolve();
    return aborted(signal);
  };
  return { engine: withMethods(engine, { commit }), reached };
}

function withMethods(engine: Engine, methods: Partial<Engine>): Engine {
  return new Proxy(engine, {
    get(target, name) {
      const value: unknown = Reflect.get(methods, name) ?? Reflect.get(target, name, target);
      return typeof value === "function" ? value.bind(target) : value;
    },
  });
}

class DeafQueue extends LocalQueue {
  deaf = true;

  override async enqueue(...job: Parameters<LocalQueue["enqueue"]>): Promise<void> {
    if (this.deaf) throw new Fault("queue_unavailable", "away");
    await super.enqueue(...job);
  }
}

describe.each(ON_POSTGRES)("installs in trouble on $name", ({ create }) => {
  let rig: InstallRig;
  useInstallRig(create, (opened) => {
    rig = opened;
  });

  const anInstall = async (worker = rig.worker(), identifier?: string) =>
    await worker.requests.install({
      tenantId: aTenant(),
      identifier: identifier ?? (await rig.upload()),
      asTenant: false,
    });

  test("an index password appears in no task event, log line or image of an install with a wheel", async () => {
    await using index = await startWheelIndex([PLAIN]);
    const settings = buildSettings(rig.folder);
    let logged = "";
    const destination = new Writable({
      write(chunk: Buffer, _encoding, done) {
        logged += chunk.toString();
        done();
      },
    });
    const worker = rig.worker({
      settings: { ...settings, index: { ...settings.index, url: index.url } },
      log: createLog({ level: "debug", destination }),
    });
    const ready = await anInstall(worker, await rig.upload({ requirements: "plain==1.0\n" }));
    await worker.run(ready.task.id);
    const failed = await anInstall(worker, await rig.upload({ requirements: "absent==1.0\n" }));
    await worker.run(failed.task.id);

    const events = [...(await rig.events(ready.task.id)), ...(await rig.events(failed.task.id))];
    expect(events.filter(({ type }) => type === "end")).toMatchObject([
      { state: "ready" },
      { state: "failed", cause: { code: "dependency_unresolvable" } },
    ]);
    expect(index.requests.some((path) => path.endsWith(".whl"))).toBe(true);
    expect(logged).toContain(failed.task.id);
    const images = await rig.store.images.list();
    expect(images).not.toEqual([]);
    const inspected = images.map(({ imageRef }) =>
      imageRef === undefined ? "" : execFileSync("docker", ["image", "inspect", imageRef]).toString(),
    );
    expect(JSON.stringify([events, inspected, images]) + logged).not.toContain(index.password);
  });

  test("a package for another Python version than the images have fails if only the exact version is allowed", async () => {
    const worker = rig.worker({ settings: { ...buildSettings(rig.folder), python: "exact" } });
    const { task } = await anInstall(worker);
    await worker.run(task.id);
    expect(await rig.store.tasks.find(task.id)).toMatchObject({
      state: "failed",
      cause: {
        code: "python_not_available",
        details: { field: "meta.runner.version", value: "3.12", accepted: ["3.13"] },
      },
    });
  });

  test("an archive that was changed on disk fails as package_damaged, and nothing is built from it", async () => {
    const identifier = await rig.upload();
    await appendFile((await rig.packages.open(identifier)).path, "changed");
    const worker = rig.worker();
    const { task } = await anInstall(worker, identifier);
    await worker.run(task.id);
    expect(await rig.store.tasks.find(task.id)).toMatchObject({
      state: "failed",
      cause: { code: "package_damaged", details: { value: identifier } },
    });
    expect(progressOf(await rig.events(task.id))).toEqual([]);
  });

  test("the task of a dead worker is taken over with its container when its lease expires", async () => {
    const stuck = stuckEngine(rig.engine);
    // Dead as others see it: it renews nothing, goes on with nothing and clears nothing away.
    const clock = { ...systemClock, sleep: (_ms: number, signal: AbortSignal) => aborted(signal) };
    const engine = withMethods(stuck.engine, { removeContainer: async () => undefined });
    const dead = rig.worker({ engine, clock, leaseMs: 1_000 });
    const { task } = await anInstall(dead);
    const bury = new AbortController();
    const dying = dead.run(task.id, bury.signal);
    await stuck.reached;
    expect(await rig.containers()).not.toEqual([]);

    const next = rig.worker({ leaseMs: 1_000 });
    const isClaimable = async () =>
      (await rig.store.tasks.listClaimable(50)).some(({ id }) => id === task.id);
    await expect.poll(isClaimable, { timeout: 10_000, interval: 50 }).toBe(true);
    await next.run(task.id);
    expect((await rig.events(task.id)).at(-1)).toMatchObject({ type: "end", state: "ready" });
    expect(await rig.containers()).toEqual([]);
    bury.abort(new Fault("shutting_down", "buried"));
    await dying;
    expect(await rig.store.tasks.find(task.id)).toMatchObject({ state: "ready" });
  });

  test("an uninstall during a build cancels the build and leaves neither container nor installation", async () => {
    const { engine, reached } = stuckEngine(rig.engine);
    const worker = rig.worker({ engine });
    const { task, installation } = await anInstall(worker);
    const building = worker.run(task.id);
    await reached;
    const uninstall = await worker.requests.uninstall(installation.id);
    await worker.run(uninstall.task.id);
    await building;
    expect(await rig.store.tasks.find(task.id)).toMatchObject({
      state: "cancelled",
      cause: { code: "cancelled" },
    });
    expect(await rig.store.installations.find(installation.id)).toBeUndefined();
    expect(await rig.containers()).toEqual([]);
  });

  test("an install is accepted while the queue is unavailable, and its job is enqueued when the queue is back", async () => {
    const queue = new DeafQueue();
    const { task } = await anInstall(rig.worker({ queue }));
    expect(queue.jobs).toEqual([]);
    const options = { store: rig.store, queue, clock: systemClock, log: silentLog };
    await using _sweeper = startSweeper({ ...options, sweepMs: 60_000, batch: 50, againMs: 60_000 });
    queue.deaf = false;
    queue.reconnect();
    const job = { name: "task.run", payload: { taskId: task.id, attempt: task.attempt } };
    await expect.poll(() => queue.jobs, { timeout: 10_000, interval: 20 }).toContainEqual(job);
  });
});
