/** The platform's install tasks: rows of the daemon's table, made from Berth's own work and written at its end. */

import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { TaskId, TenantId } from "../../src/domain/ids.ts";
import type { BatchItem } from "../../src/domain/install-task.ts";
import { newItem } from "../../src/domain/install-task.ts";
import type { Store } from "../../src/store/store.ts";
import { connectAsOther } from "../harness/rigs/other-program.ts";
import { DATABASES, type TestDatabase } from "../harness/rigs/stores.ts";
import { anInstall, aPackage, aTenant } from "../harness/samples/tenant-rows.ts";
import { platformTaskContract } from "./store/platform-tasks.contract.ts";

const A = `acme/a:1.0.0@${"a".repeat(64)}`;
const B = `acme/b:1.0.0@${"b".repeat(64)}`;
const PAGE = { page: 1, pageSize: 10 };
const CAUSE = { code: "start_crashed", message: "It did not start." } as const;

const anItem = (identifier: string): BatchItem => ({ identifier, source: "package", meta: {} });

describe.each(DATABASES)("the platform's tasks on $name", ({ create }) => {
  let database: TestDatabase;
  let store: Store;
  beforeAll(async () => {
    database = await create();
    store = await database.open();
  });
  afterAll(async () => {
    await store?.[Symbol.asyncDispose]();
    await database?.[Symbol.asyncDispose]();
  });

  /** Asks as another program would: the embedded database has one opener, so the store is closed meanwhile. */
  async function ask(...statements: readonly string[]): Promise<unknown[][][]> {
    await store[Symbol.asyncDispose]();
    const answers: unknown[][][] = [];
    {
      await using other = await connectAsOther(database);
      for (const text of statements) answers.push(await other.rows(text));
    }
    store = await database.open();
    return answers;
  }

  function accept(tenantId: TenantId, ...identifiers: readonly string[]) {
    const items = identifiers.map(anItem);
    const shown = items.map(({ identifier, source }) =>
      newItem({ identifier, pluginId: identifier.split(":")[0] ?? "", source }, { label: { en_US: "L" } }),
    );
    return store.platformTasks.accept({ tenantId, items, shown });
  }

  async function claim(id: TaskId): Promise<number> {
    return (await store.tasks.claim(id, "worker", 60_000))?.attempt ?? 0;
  }

  /** An install below the batch, as its steps accept it. */
  async function child(parentId: TaskId, tenantId: TenantId) {
    const pkg = aPackage();
    await store.packages.put(pkg, { tenantId });
    const { task } = await store.installations.acceptInstall(anInstall(pkg, tenantId, { parentId }));
    return task;
  }

  const find = async (tenantId: TenantId, id: TaskId) => {
    const found = await store.platformTasks.find(tenantId, id);
    if (found === undefined) throw new Error(`there is no ${id}`);
    return { ...found, said: found.items.map(({ status, message }) => [status, message]) };
  };

  platformTaskContract(() => store.platformTasks);

  it("a batch is accepted as a queued task with its items", async () => {
    const tenantId = aTenant();
    const one = await accept(tenantId, A, B);
    expect(await store.tasks.find(one.task.id)).toMatchObject({
      kind: "batch",
      state: "queued",
      installationId: undefined,
      input: { items: [anItem(A), anItem(B)] },
    });
  });

  it("a running batch shows the states of its installs, and its end is written to the daemon's table", async () => {
    const tenantId = aTenant();
    const { id } = (await accept(tenantId, A, B)).task;
    const attempt = await claim(id);
    const below = await child(id, tenantId);
    await store.platformTasks.noteTask({ id, attempt, identifier: A }, below.id);
    expect((await find(tenantId, id)).said).toEqual([
      ["pending", "queued"],
      ["pending", ""],
    ]);
    const inner = await claim(below.id);
    await store.tasks.setStep(below.id, inner, "fetching");
    await store.tasks.append(below.id, inner, [
      { type: "progress", step: "fetching", message: "an old one" },
    ]);
    await store.tasks.setStep(below.id, inner, "building");
    expect((await find(tenantId, id)).said[0]).toEqual(["running", "building"]);
    await store.tasks.append(below.id, inner, [
      { type: "progress", step: "building", message: "1 of 2" },
      { type: "progress", step: "building", message: "2 of 2" },
      { type: "log", step: "building", text: "chatter" },
    ]);
    expect((await find(tenantId, id)).said[0]).toEqual(["running", "building: 2 of 2"]);
    await store.tasks.finish(below.id, inner, { state: "failed", cause: CAUSE, markInstallation: true });
    const failed = await find(tenantId, id);
    expect(failed).toMatchObject({ status: "failed", completed: 0 });
    expect(failed.said).toEqual([
      ["failed", "It did not start. (start_crashed)"],
      ["pending", ""],
    ]);
    await store.platformTasks.noteEnd({ id, attempt, identifier: A }, CAUSE);
    await store.platformTasks.noteEnd({ id, attempt, identifier: B }, undefined);
    expect(await store.platformTasks.progress(id)).toMatchObject([
      { identifier: A, state: "failed", taskId: below.id, cause: CAUSE },
      { identifier: B, state: "ready", taskId: undefined, cause: undefined },
    ]);
    await store.tasks.finish(id, attempt, { state: "failed", cause: CAUSE, markInstallation: false });
    expect(await store.platformTasks.progress(id)).toEqual([]);
    const [[row]] = (await ask(
      `SELECT status, total_plugins::int, completed_plugins::int, plugins FROM install_tasks WHERE id = '${id}'`,
    )) as [[[string, number, number, string]]];
    expect(row.slice(0, 3)).toEqual(["failed", 2, 1]);
    expect(JSON.parse(row[3])).toMatchObject([
      { plugin_unique_identifier: A, status: "failed", message: "It did not start. (start_crashed)" },
      { plugin_unique_identifier: B, status: "success", message: "installed", labels: { en_US: "L" } },
    ]);
    expect(await find(tenantId, id)).toMatchObject({ status: "failed", completed: 1 });
  });

  it("a worker that has lost the batch's lease cannot write to it", async () => {
    const tenantId = aTenant();
    const { id } = (await accept(tenantId, A)).task;
    const attempt = await claim(id);
    const lost = store.platformTasks.noteEnd({ id, attempt: attempt + 1, identifier: A }, undefined);
    await expect(lost).rejects.toMatchObject({ code: "lease_lost" });
  });

  it("a task that the platform removed is hidden from it, while its work continues", async () => {
    const tenantId = aTenant();
    const { id } = (await accept(tenantId, A)).task;
    await store.platformTasks.remove(tenantId, id);
    expect(await store.platformTasks.find(tenantId, id)).toBeUndefined();
    const attempt = await claim(id);
    await store.platformTasks.noteEnd({ id, attempt, identifier: A }, undefined);
    await store.tasks.finishReady(id, attempt);
    expect(await store.tasks.find(id)).toMatchObject({ state: "ready" });
    expect(await store.platformTasks.list(tenantId, PAGE)).toEqual([]);
  });

  it("removing the last item that has not succeeded removes the task", async () => {
    const tenantId = aTenant();
    const { id } = (await accept(tenantId, A, B)).task;
    const attempt = await claim(id);
    await store.platformTasks.noteEnd({ id, attempt, identifier: A }, undefined);
    await store.platformTasks.removeItem(tenantId, id, A);
    const left = await find(tenantId, id);
    expect(left.items.map(({ identifier }) => identifier)).toEqual([B]);
    expect(left).toMatchObject({ status: "running", total: 2, completed: 1 });
    await store.platformTasks.removeItem(tenantId, id, B);
    expect(await store.platformTasks.find(tenantId, id)).toBeUndefined();
  });

  it("improved 2: a successful task is removed after its time, and a failed or running task stays", async () => {
    const tenantId = aTenant();
    const [done, failed, running] = [
      await accept(tenantId, A),
      await accept(tenantId, A),
      await accept(tenantId, A),
    ];
    const attempt = await claim(done.task.id);
    await store.platformTasks.noteEnd({ id: done.task.id, attempt, identifier: A }, undefined);
    await store.tasks.finishReady(done.task.id, attempt);
    const other = await claim(failed.task.id);
    await store.tasks.finish(failed.task.id, other, {
      state: "failed",
      cause: CAUSE,
      markInstallation: false,
    });
    expect((await find(tenantId, failed.task.id)).said).toEqual([
      ["failed", "It did not start. (start_crashed)"],
    ]);
    const ids = async () => (await store.platformTasks.list(tenantId, PAGE)).map(({ id }) => id);
    await store.platformTasks.purge(60_000);
    expect(await ids()).toEqual([running.task.id, failed.task.id, done.task.id]);
    await store.platformTasks.purge(0);
    expect(await ids()).toEqual([running.task.id, failed.task.id]);
    await store.platformTasks.endAbandoned();
    expect(await find(tenantId, running.task.id)).toMatchObject({ status: "running" });
  });

  it("improved 2: tasks that a daemon left unfinished end as failed once, and finished tasks are shown unchanged", async () => {
    const tenantId = aTenant();
    const rows = ["running", "pending", "failed", "success"].map((status, place) => {
      const item = { plugin_unique_identifier: A, plugin_id: "acme/a", labels: { en_US: "A" }, icon: "i" };
      const plugins = JSON.stringify([{ ...item, icon_dark: "", status, message: "m", source: "github" }]);
      return `('${crypto.randomUUID()}', now() - ${place} * interval '1 h', NULL, '${status}', '${tenantId}', 1, 0, '${plugins}')`;
    });
    await ask(
      `INSERT INTO install_tasks (id, created_at, updated_at, status, tenant_id, total_plugins, completed_plugins, plugins)
       VALUES ${rows.join()}`,
    );
    const said = async () =>
      (await store.platformTasks.list(tenantId, PAGE)).map(({ status, items }) => [
        status,
        items[0]?.status,
        items[0]?.message,
      ]);
    expect((await said())[0]).toEqual(["running", "running", "m"]);
    expect(await store.platformTasks.endAbandoned()).toBe(2);
    const message = expect.stringContaining("install it again");
    expect(await said()).toEqual([
      ["failed", "failed", message],
      ["failed", "failed", message],
      ["failed", "failed", "m"],
      ["success", "success", "m"],
    ]);
    expect(await store.platformTasks.endAbandoned()).toBe(0);
  });

  it("an accepted uninstall removes the platform's rows, and a reinstall writes them again", async () => {
    const tenantId = aTenant();
    const pkg = aPackage();
    await store.packages.put(pkg, { tenantId });
    const install = () =>
      store.installations.acceptInstall(
        anInstall(pkg, tenantId, { input: { platformSource: "a word of its own" } }),
      );
    const publish = async ({ task }: Awaited<ReturnType<typeof install>>) =>
      store.installations.publishReady(task.id, await claim(task.id));
    const first = await install();
    await publish(first);
    const there = () => store.platform.findInstallation(tenantId, pkg.pluginId);
    expect(await there()).toMatchObject({ id: first.installation.id, source: "a word of its own" });
    expect(first.installation.source).toBe("package");
    const removal = await store.installations.acceptUninstall(first.installation.id, { force: true });
    expect(await there()).toBeUndefined();
    expect(await store.platform.isInstalledAnywhere(pkg.identifier)).toBe(false);
    await store.installations.publishRemoved(removal.task.id, await claim(removal.task.id));
    await publish(await install());
    expect(await there()).toMatchObject({ identifier: pkg.identifier });
  });
});
