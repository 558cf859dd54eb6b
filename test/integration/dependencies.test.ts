/** Plugins that need plugins, with one worker that has one place: whoever waited in it would wait for ever. */
import { randomUUID } from "node:crypto";
import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { readConfig } from "../../src/config.ts";
import { createInstallationChanges } from "../../src/installation/requests/installation-changes.ts";
import { silentLog } from "../../src/observe/log.ts";
import type { Sources } from "../../src/sources/sources.ts";
import { aTenant, type InstallRig, progressOf, useInstallRig } from "../harness/rigs/installer.ts";
import { type NeedsRig, openNeedsRig } from "../harness/rigs/needs-rig.ts";
import { ON_POSTGRES } from "../harness/rigs/stores.ts";

/** Names of its own for each test, so that none finds what another has uploaded. */
function names() {
  const own = randomUUID().slice(0, 8);
  return {
    base: `base_${own}`,
    mid: `mid_${own}`,
    top: `top_${own}`,
    other: `other_${own}`,
    id: (name: string) => `acme/${name}`,
  };
}

const market = (name: string, version: string) => ({ type: "marketplace", value: `acme/${name}:${version}` });

describe.each(ON_POSTGRES)("plugins with dependencies on $name", ({ create }) => {
  let rig: InstallRig;
  let needs: NeedsRig;
  useInstallRig(create, (opened) => {
    rig = opened;
  });
  beforeEach(() => {
    needs = openNeedsRig(rig);
  });

  const uninstall = (tenantId: ReturnType<typeof aTenant>, pluginId: string, force = false) =>
    needs.installed(tenantId, pluginId).then(({ id }) => needs.worker.requests.uninstall(id, { force }));

  test("are installed after their dependencies, each of which gets a child task", async () => {
    const { base, mid, top, id } = names();
    const needed = await needs.upload(base);
    await needs.upload(mid, [needed]);
    const tenantId = aTenant();
    const { task } = await needs.install(tenantId, await needs.upload(top, [market(mid, "^1.0.0")]));
    await needs.drain();

    expect(needs.started).toEqual([id(base), id(mid), id(top)]);
    expect(await needs.has(tenantId)).toEqual({
      [id(base)]: "ready",
      [id(mid)]: "ready",
      [id(top)]: "ready",
    });
    const [ofMid, ...others] = await rig.store.tasks.children(task.id);
    expect(others).toEqual([]);
    expect(ofMid).toMatchObject({ kind: "install", state: "ready", parentId: task.id });
    const below = ofMid === undefined ? [] : await rig.store.tasks.children(ofMid.id);
    expect(below).toMatchObject([{ identifier: needed, state: "ready" }]);
    expect(progressOf(await rig.events(task.id)).join()).toContain("installing the dependency");
  });

  test("use an installed dependency if it fits, else the newest uploaded version that fits", async () => {
    const { base, mid, top, id } = names();
    const installed = await needs.upload(base, [], { version: "1.1.0" });
    await needs.upload(base, [], { version: "1.2.0" });
    for (const version of ["1.0.0", "1.10.0", "2.0.0"]) await needs.upload(mid, [], { version });
    const tenantId = aTenant();
    await needs.install(tenantId, installed);
    await needs.drain();
    const wanted = [market(base, "1.x.x"), market(mid, "^1.0.0")];
    const { task } = await needs.install(tenantId, await needs.upload(top, wanted));
    await needs.drain();
    expect(await needs.task(task.id)).toMatchObject({ state: "ready" });
    expect((await needs.installed(tenantId, id(base))).identifier).toBe(installed);
    expect((await needs.installed(tenantId, id(mid))).identifier).toContain(":1.10.0@");
  });

  test("get the dependency version that fits all of them, even if a newer version fits one of them", async () => {
    const { base, mid, top, id } = names();
    for (const version of ["1.0.0", "1.5.0", "2.0.0"]) await needs.upload(base, [], { version });
    await needs.upload(mid, [market(base, "1.0.0-2.0.0")]);
    const wanted = [market(mid, "1.0.0"), market(base, "^1.0.0")];
    const tenantId = aTenant();
    const { task } = await needs.install(tenantId, await needs.upload(top, wanted));
    await needs.drain();
    expect(await needs.task(task.id)).toMatchObject({ state: "ready" });
    expect((await needs.installed(tenantId, id(base))).identifier).toContain(":1.5.0@");
  });

  test("fail with all missing dependencies, direct and indirect, before anything is installed", async () => {
    const { base, mid, top, id } = names();
    const checksum = "c".repeat(64);
    const absent = `acme/absent:1.0.0@${checksum}`;
    await needs.upload(base, [], { version: "1.0.0" });
    await needs.upload(mid, [absent]);
    const wanted = [market(mid, "1.0.0"), market(base, "^2.0.0"), { type: "package", value: checksum }];
    const tenantId = aTenant();
    const { task } = await needs.install(tenantId, await needs.upload(top, wanted));
    await needs.drain();
    const { state, cause } = await needs.task(task.id);
    expect([state, cause?.code]).toEqual(["failed", "dependency_missing"]);
    expect(cause?.details?.["missing"]).toMatchObject([
      { type: "package", value: absent, needed_by: expect.stringContaining(id(mid)) },
      { value: `${id(base)}:^2.0.0`, found: [expect.stringContaining(`${base}:1.0.0@`)] },
      { type: "checksum", value: checksum, needed_by: expect.stringContaining(id(top)) },
    ]);
    expect(await needs.has(tenantId)).toEqual({ [id(top)]: "failed" });
    expect(await rig.store.tasks.children(task.id)).toEqual([]);
  });

  test("fail with the conflict named if another version is installed, and leave that version unchanged", async () => {
    const { base, top, id } = names();
    const tenantId = aTenant();
    const installed = await needs.upload(base);
    await needs.install(tenantId, installed);
    await needs.drain();
    await needs.upload(base, [], { version: "2.0.0" });
    const { task } = await needs.install(tenantId, await needs.upload(top, [market(base, "2.x.x")]));
    await needs.drain();
    expect((await needs.task(task.id)).cause).toMatchObject({
      code: "dependency_conflict",
      details: { conflicts: [{ value: `${id(base)}:2.x.x`, installed }] },
    });
    expect(await needs.has(tenantId)).toEqual({ [id(base)]: "ready", [id(top)]: "failed" });
  });

  test("fail with the path of the cycle if they need each other through several packages", async () => {
    const { base, mid, top, id } = names();
    await needs.upload(base, [market(top, "1.x.x")]);
    await needs.upload(mid, [market(base, "1.x.x")]);
    const tenantId = aTenant();
    const { task } = await needs.install(tenantId, await needs.upload(top, [market(mid, "1.x.x")]));
    await needs.drain();
    expect((await needs.task(task.id)).cause).toMatchObject({
      code: "dependency_cycle",
      details: { path: [id(top), id(mid), id(base), id(top)] },
    });
    expect(await needs.has(tenantId)).toEqual({ [id(top)]: "failed" });
  });

  test("fail with the cause of a failed dependency, and the dependencies installed for them are removed", async () => {
    const { base, mid, other, top, id } = names();
    const broken = await needs.upload(mid, [await needs.upload(base)]);
    const wanted = [await needs.upload(other), broken];
    needs.broken.add(id(mid));
    const tenantId = aTenant();
    const { task, installation } = await needs.install(tenantId, await needs.upload(top, wanted));
    await needs.drain();
    const { state, cause } = await needs.task(task.id);
    const child = (await rig.store.tasks.children(task.id)).find(({ identifier }) => identifier === broken);
    expect([state, cause]).toMatchObject([
      "failed",
      {
        code: "dependency_failed",
        details: { task_id: child?.id, identifier: broken, cause: { code: "start_crashed" } },
      },
    ]);
    expect(await needs.has(tenantId)).toEqual({ [id(top)]: "failed" });
    expect(await rig.store.installations.find(installation.id)).toMatchObject({
      cause: { code: "dependency_failed" },
    });
    expect(await rig.store.dependencies.needsOf(installation.id)).toEqual([]);

    needs.broken.clear();
    const again = await needs.install(tenantId, task.identifier ?? "");
    await needs.drain();
    expect(await needs.task(again.task.id)).toMatchObject({ state: "ready" });
  });

  test("remove the dependencies installed for them when they fail, and keep those that existed before", async () => {
    const { base, mid, top, id } = names();
    const [kept, made] = [await needs.upload(base), await needs.upload(mid)];
    const tenantId = aTenant();
    await needs.install(tenantId, kept);
    await needs.drain();
    needs.broken.add(id(top));
    const { task } = await needs.install(tenantId, await needs.upload(top, [kept, made]));
    await needs.drain();
    expect((await needs.task(task.id)).cause).toMatchObject({ code: "start_crashed" });
    expect(await needs.has(tenantId)).toEqual({ [id(base)]: "ready", [id(top)]: "failed" });
  });

  test("share a dependency that is installed once and stays for one of them when the other fails", async () => {
    const { base, mid, top, id } = names();
    const shared = await needs.upload(base);
    const [failing, fine] = [await needs.upload(mid, [shared]), await needs.upload(top, [shared])];
    needs.broken.add(id(mid));
    const tenantId = aTenant();
    const [one, two] = [await needs.install(tenantId, failing), await needs.install(tenantId, fine)];
    await needs.drain();
    expect(await needs.task(one.task.id)).toMatchObject({ state: "failed" });
    expect(await needs.task(two.task.id)).toMatchObject({ state: "ready" });
    expect(await needs.has(tenantId)).toEqual({
      [id(base)]: "ready",
      [id(mid)]: "failed",
      [id(top)]: "ready",
    });
    expect(needs.started.filter((plugin) => plugin === id(base))).toHaveLength(1);
    expect(await rig.store.tasks.children(two.task.id)).toEqual([]);
  });

  test("remove a shared dependency when the last of them fails", async () => {
    const { base, mid, top, id } = names();
    const shared = await needs.upload(base);
    for (const name of [mid, top]) needs.broken.add(id(name));
    const tenantId = aTenant();
    for (const name of [mid, top]) await needs.install(tenantId, await needs.upload(name, [shared]));
    await needs.drain();
    expect(await needs.has(tenantId)).toEqual({ [id(mid)]: "failed", [id(top)]: "failed" });
  });

  test("keep a dependency after a failure if somebody has requested it directly in the meantime", async () => {
    const { base, top, id } = names();
    const needed = await needs.upload(base);
    needs.broken.add(id(top));
    const tenantId = aTenant();
    await needs.install(tenantId, await needs.upload(top, [needed]));
    const running = await needs.drainUntil(id(base));
    expect((await needs.install(tenantId, needed)).task.id).toBe(running);
    await needs.worker.run(running);
    await needs.drain();
    expect(await needs.has(tenantId)).toEqual({ [id(base)]: "ready", [id(top)]: "failed" });
  });

  test("are all installed by a bundle, and all removed if the bundle fails", async () => {
    const { base, mid, top, id } = names();
    const needed = await needs.upload(base);
    const bundle = await needs.bundle([await needs.upload(mid, [needed]), await needs.upload(top)]);
    needs.broken.add(id(top));
    const tenantId = aTenant();
    const ask = () => needs.worker.requests.bundle({ tenantId, bundle, asTenant: false });
    const first = await ask();
    await needs.drain();
    expect(await needs.task(first.task.id)).toMatchObject({
      kind: "bundle",
      state: "failed",
      identifier: bundle,
      cause: { code: "dependency_failed" },
    });
    expect(await needs.has(tenantId)).toEqual({});

    needs.broken.clear();
    const second = await ask();
    await needs.drain();
    expect(await needs.task(second.task.id)).toMatchObject({ state: "ready" });
    expect(await needs.has(tenantId)).toEqual({
      [id(base)]: "ready",
      [id(mid)]: "ready",
      [id(top)]: "ready",
    });
    expect(await rig.store.tasks.children(second.task.id)).toHaveLength(2);
  });

  test("block the uninstall of their dependency with all of their names, unless it is forced", async () => {
    const { base, mid, top, id } = names();
    const needed = await needs.upload(base);
    const tenantId = aTenant();
    for (const name of [mid, top]) await needs.install(tenantId, await needs.upload(name, [needed]));
    await needs.drain();
    await expect(uninstall(tenantId, id(base))).rejects.toMatchObject({
      code: "dependency_in_use",
      message: expect.stringContaining(`${id(mid)}, ${id(top)}`),
      details: { needed_by: [{ plugin_id: id(mid) }, { plugin_id: id(top), value: needed }] },
    });
    await uninstall(tenantId, id(mid));
    await needs.drain();
    await expect(uninstall(tenantId, id(base))).rejects.toMatchObject({ code: "dependency_in_use" });
    await uninstall(tenantId, id(base), true);
    await needs.drain();
    expect(await needs.has(tenantId)).toEqual({ [id(top)]: "ready" });
  });

  test("are removed with their tenant, whatever the order of their dependencies", async () => {
    const { base, mid, top, id } = names();
    const needed = await needs.upload(mid, [await needs.upload(base)]);
    const tenantId = aTenant();
    await needs.install(tenantId, await needs.upload(top, [needed]));
    await needs.drainUntil(id(mid));
    const { task } = await rig.store.tenants.acceptRemoval(tenantId);
    await needs.worker.run(task.id);
    await needs.drain();
    expect(await needs.task(task.id)).toMatchObject({ state: "ready" });
    expect(await needs.has(tenantId)).toEqual({});
  });

  test("are removed when they are cancelled, together with the dependencies installed for them", async () => {
    const { base, mid, top, id } = names();
    const needed = await needs.upload(mid, [await needs.upload(base)]);
    const tenantId = aTenant();
    const { task } = await needs.install(tenantId, await needs.upload(top, [needed]));
    await needs.drainUntil(id(base));
    expect(await needs.worker.requests.cancel(task.id)).toMatchObject({ ending: { state: "cancelled" } });
    await needs.drain();
    expect(await needs.task(task.id)).toMatchObject({ state: "cancelled", cause: { code: "cancelled" } });
    expect(await needs.has(tenantId)).toEqual({});
    const below = await rig.store.tasks.children(task.id);
    expect(below.filter(({ kind }) => kind === "install")).toMatchObject([{ state: "cancelled" }]);
  });

  test("fail if the install of a dependency is cancelled", async () => {
    const { base, top, id } = names();
    const tenantId = aTenant();
    const { task } = await needs.install(tenantId, await needs.upload(top, [await needs.upload(base)]));
    const child = await needs.drainUntil(id(base));
    await needs.worker.requests.cancel(child);
    await needs.drain();
    expect(await needs.task(task.id)).toMatchObject({
      state: "failed",
      cause: { code: "dependency_failed", details: { state: "cancelled" } },
    });
    expect(await needs.has(tenantId)).toEqual({ [id(top)]: "failed" });
  });

  test("remove the dependencies installed for them when they are uninstalled while waiting", async () => {
    const { base, top, id } = names();
    const tenantId = aTenant();
    await needs.install(tenantId, await needs.upload(top, [await needs.upload(base)]));
    await needs.drainUntil(id(base));
    await uninstall(tenantId, id(top));
    await needs.drain();
    expect(await needs.has(tenantId)).toEqual({});
  });

  test("that others need are upgraded only to versions that fit, unless the upgrade is forced", async () => {
    const { base, top, id } = names();
    const [first, fine, beyond] = [
      await needs.upload(base),
      await needs.upload(base, [], { version: "1.1.0" }),
      await needs.upload(base, [], { version: "2.0.0" }),
    ];
    const tenantId = aTenant();
    await needs.install(tenantId, first);
    await needs.install(tenantId, await needs.upload(top, [market(base, "^1.0.0")]));
    await needs.drain();
    const { id: installation } = await needs.installed(tenantId, id(base));
    const changes = createInstallationChanges({
      store: rig.store,
      queue: needs.queue,
      log: silentLog,
      limits: readConfig({}).limits,
    });
    const upgrade = (identifier: string, force = false) =>
      changes.upgrade({ id: installation, identifier, asTenant: false, force });
    await expect(upgrade(beyond)).rejects.toMatchObject({
      code: "dependency_in_use",
      details: { needed_by: [{ plugin_id: id(top), value: `${id(base)}:^1.0.0` }] },
    });
    expect((await upgrade(fine)).task).toMatchObject({ kind: "upgrade", identifier: fine });
    await needs.drain();
    expect((await upgrade(beyond, true)).created).toBe(true);
  });

  test("fetch a dependency from an exactly named release, and remove it again when they fail", async () => {
    const { base, top, id } = names();
    const stored = await needs.upload(base);
    const sources: Sources = {
      fetch: async ({ folder }) => {
        await using archive = await rig.packages.open(stored);
        const path = join(folder, "fetched.difypkg");
        await copyFile(archive.path, path);
        return { path, bytes: 0, sha256: "" };
      },
    };
    const fetching = openNeedsRig(rig, { sources });
    const release = { type: "github", value: `acme/releases_${base}:1.0.0/base.difypkg` };
    const tenantId = aTenant();
    const identifier = await needs.upload(top, [release]);
    fetching.broken.add(id(top));
    const failing = await fetching.install(tenantId, identifier);
    await fetching.drain();
    expect((await fetching.task(failing.task.id)).cause).toMatchObject({ code: "start_crashed" });
    expect(await fetching.has(tenantId)).toEqual({ [id(top)]: "failed" });

    fetching.broken.clear();
    const { task } = await fetching.install(tenantId, identifier);
    await fetching.drain();
    expect(await fetching.task(task.id)).toMatchObject({ state: "ready" });
    expect(await rig.store.tasks.children(task.id)).toMatchObject([{ kind: "fetch", state: "ready" }]);
    const found = await fetching.installed(tenantId, id(base));
    expect(found).toMatchObject({ source: "github", meta: { repo: `acme/releases_${base}` } });
    await expect(uninstall(tenantId, id(base))).rejects.toMatchObject({ code: "dependency_in_use" });
  });

  test("find only the packages visible to their tenant if the tenant's key asked for the install", async () => {
    const { base, top, id } = names();
    const needed = await needs.upload(base);
    const tenantId = aTenant();
    const identifier = await needs.upload(top, [needed], { uploader: tenantId });
    const { task } = await needs.worker.requests.install({ tenantId, identifier, asTenant: true });
    await needs.drain();
    expect((await needs.task(task.id)).cause).toMatchObject({
      code: "dependency_missing",
      details: { missing: [{ value: needed, found: [] }] },
    });
    expect(await needs.has(tenantId)).toEqual({ [id(top)]: "failed" });
  });
});
