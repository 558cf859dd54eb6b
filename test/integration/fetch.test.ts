/** The steps of a `fetch` task, with a worker that dies between any two of them. */
import { readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { Fault } from "../../src/domain/fault.ts";
import type { TaskId, TenantId } from "../../src/domain/ids.ts";
import type { PermissionsChosen } from "../../src/domain/permission.ts";
import type { Source } from "../../src/domain/source.ts";
import type { InstallationRequests } from "../../src/installation/contracts.ts";
import type { Sources } from "../../src/sources/sources.ts";
import { eventually, type PackedPlugin, packVersion } from "../harness/clients/client.ts";
import {
  aTenant,
  type InstallRig,
  progressOf,
  useInstallRig,
  type WorkerOptions,
} from "../harness/rigs/installer.ts";
import { ON_POSTGRES } from "../harness/rigs/stores.ts";

describe.each(ON_POSTGRES)("a fetch on $name", ({ create }) => {
  let rig: InstallRig;
  useInstallRig(create, (opened) => {
    rig = opened;
  });

  const release = (plugin: PackedPlugin): Source => ({
    type: "github",
    repo: "acme/echo",
    release: plugin.identifier.slice(0, 40),
    asset: "echo.difypkg",
  });
  const accept = async (
    worker: { requests: InstallationRequests },
    source: Source,
    tenantId: TenantId,
    permissions?: PermissionsChosen,
  ) => {
    const { task } = await worker.requests.fetch({ tenantId, source, asTenant: true, permissions });
    expect(task.kind).toBe("fetch");
    return task.id;
  };
  /** As a worker finds them whose process was killed: nothing is written, the lease runs out. */
  const killed = () => new Fault("lease_lost", "This worker is dead.");
  const stateOf = async (id: TaskId) => (await rig.store.tasks.find(id))?.state;
  const downloads = () => readdir(join(rig.folder, "fetches")).catch(() => []);

  function sourcesOf(plugin: PackedPlugin): Sources & { fetched: number } {
    const sources = {
      fetched: 0,
      fetch: async ({ folder }: { folder: string }) => {
        sources.fetched += 1;
        const path = join(folder, "archive");
        await writeFile(path, plugin.bytes);
        return { path, bytes: plugin.bytes.length };
      },
    };
    return sources;
  }

  /** The requests of a worker that dies on an install, before or after it was accepted. */
  const dyingAt = (when: "before" | "after"): Partial<WorkerOptions> => {
    const { requests } = rig.worker();
    const install: InstallationRequests["install"] = async (request) => {
      if (when === "after") await requests.install(request);
      throw killed();
    };
    return { requests: { ...requests, install } };
  };

  test("releases its worker while the install runs, ends when the install ends, and keeps the permissions chosen", async () => {
    const plugin = await packVersion("echo", "5.0.0");
    const sources = sourcesOf(plugin);
    const worker = rig.worker({ sources });
    const tenantId = aTenant();
    const id = await accept(worker, release(plugin), tenantId, { tool: false });
    await worker.run(id);
    expect(await stateOf(id)).toBe("resolving");
    const [child] = await rig.store.tasks.children(id);
    expect(child).toMatchObject({ kind: "install", identifier: plugin.identifier, state: "queued" });
    if (child === undefined) throw new Error("no install");
    const fetchJobs = () =>
      worker.queue.jobs.filter(({ payload }) => Reflect.get(payload as object, "taskId") === id);
    const before = fetchJobs().length;
    await worker.run(child.id);
    expect(await stateOf(child.id)).toBe("ready");
    expect((await rig.store.installations.findByPlugin(tenantId, plugin.pluginId))?.permissions).toEqual({
      tool: false,
    });
    expect(fetchJobs()).toHaveLength(before + 1);
    await worker.run(id);
    expect(await rig.store.tasks.find(id)).toMatchObject({ state: "ready", identifier: plugin.identifier });
    expect(sources.fetched).toBe(1);
    expect(await rig.store.packages.isVisibleTo(plugin.identifier, tenantId)).toBe(true);
    expect(await downloads()).toEqual([]);
  });

  test.each(["before", "after"] as const)(
    "whose worker dies %s the install was accepted is fetched and installed once",
    async (when) => {
      const plugin = await packVersion("echo", when === "before" ? "5.1.0" : "5.1.1");
      const sources = sourcesOf(plugin);
      const dying = rig.worker({ sources, leaseMs: 300, ...dyingAt(when) });
      const id = await accept(dying, release(plugin), aTenant());
      await dying.run(id);
      expect(await rig.store.tasks.children(id)).toHaveLength(when === "before" ? 0 : 1);
      const next = rig.worker({ sources });
      const children = await eventually(async () => {
        await next.run(id);
        const found = await rig.store.tasks.children(id);
        return (await rig.store.tasks.find(id))?.attempt === 2 ? found : undefined;
      });
      expect(children).toMatchObject([{ kind: "install", identifier: plugin.identifier }]);
      expect(sources.fetched).toBe(1);
    },
  );

  test("whose worker dies during the download resumes from its bytes, in a folder of its own", async () => {
    const plugin = await packVersion("echo", "5.2.0");
    let dead = "";
    const dying: Sources = {
      fetch: async ({ folder }) => {
        dead = folder;
        await writeFile(join(folder, "archive"), "half");
        throw killed();
      },
    };
    const worker = rig.worker({ sources: dying, leaseMs: 300 });
    const id = await accept(worker, release(plugin), aTenant());
    await worker.run(id);
    const found: string[] = [];
    const whole = sourcesOf(plugin);
    const next = rig.worker({
      sources: {
        fetch: async (request, hooks, signal) => {
          found.push(request.folder, await readFile(join(request.folder, "archive"), "utf8"));
          return await whole.fetch(request, hooks, signal);
        },
      },
    });
    await eventually(async () => {
      await next.run(id);
      return found.length > 0 ? true : undefined;
    });
    expect(found).toEqual([join(rig.folder, "fetches", id, "2"), "half"]);
    expect(dead).toBe(join(rig.folder, "fetches", id, "1"));
    expect(await downloads()).toEqual([]);
  });

  test("whose install fails reports the cause and the task of the install", async () => {
    const plugin = await packVersion("echo", "5.3.0");
    const worker = rig.worker({ sources: sourcesOf(plugin) });
    worker.keeper.failure = new Fault("start_crashed", "The plugin ended while starting.");
    const id = await accept(worker, release(plugin), aTenant());
    await worker.run(id);
    const [child] = await rig.store.tasks.children(id);
    if (child === undefined) throw new Error("no install");
    await worker.run(child.id);
    await worker.run(id);
    expect(await rig.store.tasks.find(id)).toMatchObject({
      state: "failed",
      cause: {
        code: "install_failed",
        message: expect.stringContaining("The plugin ended while starting."),
        details: { task_id: child.id, cause: { code: "start_crashed" } },
      },
    });
  });

  test("that is cancelled during the download ends as cancelled and leaves no files", async () => {
    const plugin = await packVersion("echo", "5.4.0");
    const begun = Promise.withResolvers<void>();
    const sources: Sources = {
      fetch: (_request, _hooks, signal) => {
        begun.resolve();
        return new Promise((_resolve, reject) =>
          signal.addEventListener("abort", () => reject(signal.reason)),
        );
      },
    };
    const worker = rig.worker({ sources });
    const id = await accept(worker, release(plugin), aTenant());
    const running = worker.run(id);
    await begun.promise;
    await worker.requests.cancel(id);
    await running;
    expect(await stateOf(id)).toBe("cancelled");
    expect(await downloads()).toEqual([]);
  });

  test("waits as long as the source asks before a retry, and gives up after the last retry", async () => {
    const plugin = await packVersion("echo", "5.5.0");
    const retryAt = new Date(Date.now() + 3_600_000).toISOString();
    const limited = new Fault("source_rate_limited", "Later.", { details: { retry_at: retryAt } });
    const worker = rig.worker({ sources: { fetch: () => Promise.reject(limited) } });
    const id = await accept(worker, release(plugin), aTenant());
    await worker.run(id);
    const retries = (await rig.events(id)).filter((event) => event.type === "retry");
    expect(retries).toMatchObject([{ step: "fetching", cause: { code: "source_rate_limited" } }]);
    expect(retries[0]?.delayMs).toBeGreaterThan(3_500_000);
    await worker.run(id);
    expect((await rig.store.tasks.find(id))?.attempt).toBe(1);

    const away = new Fault("source_unreachable", "Nobody answers.");
    const other = rig.worker({ sources: { fetch: () => Promise.reject(away) } });
    const second = await accept(other, release(await packVersion("echo", "5.5.1")), aTenant());
    await eventually(async () => {
      await other.run(second);
      return (await stateOf(second)) === "failed" ? true : undefined;
    });
    expect((await rig.events(second)).filter(({ type }) => type === "retry")).toHaveLength(1);
    expect(progressOf(await rig.events(second))[0]).toContain("fetching echo.difypkg of acme/echo");
  });
});
