/** Debugging keys, and the rows of plugins that their authors run. */
import { describe, expect, it } from "vitest";
import { RuntimeId, type TenantId } from "../../src/domain/ids.ts";
import type { Store } from "../../src/store/store.ts";
import { aPoolKey } from "../harness/builders/a-pool-row.ts";
import { LIMITS } from "../harness/builders/an-installation.ts";
import { DATABASES, useStore } from "../harness/rigs/stores.ts";
import { anInstall, aPackage, aTenant } from "../harness/samples/tenant-rows.ts";

const BY = { keyId: "admin", keyName: "admin", requestId: "r" };
const HOUR_MS = 3_600_000;
let runtimes = 0;

function aRuntime(): RuntimeId {
  runtimes += 1;
  return RuntimeId.parse(String(runtimes).padStart(10, "r"));
}

describe.each(DATABASES)("on $name", ({ create }) => {
  let store: Store;
  useStore(create, (opened) => {
    store = opened;
  });

  const issue = (tenantId: TenantId, made: string, { lifeMs = HOUR_MS, isUsable = true } = {}) =>
    store.debug.issueKey(tenantId, {
      made: { hash: made, sealed: `sealed ${made}` },
      isUsable: () => isUsable,
      lifeMs,
    });
  const connect = (tenantId: TenantId, pkg = aPackage(), processId = "one") => {
    const runtimeId = aRuntime();
    const request = { tenantId, pkg, limits: LIMITS, runtimeId, poolKey: aPoolKey(), processId };
    return store.debug.connect(request).then((connected) => ({ ...connected, runtimeId, pkg, request }));
  };

  it("a tenant keeps its key until it expires or cannot be used, and its holder is found by its hash", async () => {
    const tenantId = aTenant();
    expect(await issue(tenantId, "a1")).toMatchObject({ hash: "a1", sealed: "sealed a1" });
    expect((await issue(tenantId, "a2")).hash).toBe("a1");
    expect(await store.debug.useKey("a1", HOUR_MS)).toBe(tenantId);
    expect(await store.debug.useKey("a2", HOUR_MS)).toBeUndefined();
    expect((await issue(tenantId, "a3", { isUsable: false })).hash).toBe("a3");
    expect(await store.debug.useKey("a1", HOUR_MS)).toBeUndefined();
    expect(await store.debug.useKey("a3", 0)).toBe(tenantId);
    expect(await store.debug.useKey("a3", HOUR_MS)).toBeUndefined();
    expect((await issue(tenantId, "a4")).hash).toBe("a4");
  });

  it("a connected plugin has all rows of an installation, and none when it is gone", async () => {
    const tenantId = aTenant();
    const { installationId, runtimeId, pkg, request } = await connect(tenantId);
    expect(await store.installations.find(installationId)).toMatchObject({
      ...{ tenantId, source: "remote", state: "ready", desired: "enabled", generation: 1 },
      ...{ identifier: pkg.identifier, poolKey: request.poolKey, limitsGranted: LIMITS },
    });
    const { items } = await store.installed.list({ tenantId, status: "running" }, PAGE);
    expect(items).toMatchObject([{ status: "running", installation: { id: installationId } }]);
    expect((await store.installed.list({ tenantId, status: "installed" }, PAGE)).items).toEqual([]);
    expect(await store.platform.findInstallationById(tenantId, installationId)).toMatchObject({
      ...{ runtimeType: "remote", source: "remote", identifier: pkg.identifier },
    });
    expect(await store.runtimes.listLive(request.poolKey)).toMatchObject([{ id: runtimeId, state: "ready" }]);
    expect(await store.debug.listOfProcess("one")).toEqual([{ runtimeId, isInstalled: true }]);
    const end = { reason: "disconnected" } as const;
    expect(await store.debug.disconnect(runtimeId, end)).toMatchObject({ unused: pkg.identifier });
    expect(await store.debug.disconnect(runtimeId, end)).toBeUndefined();
    expect(await store.installations.find(installationId)).toBeUndefined();
    expect((await store.installations.changedSince(new Date(0))).removed).toContain(installationId);
    expect(await store.platform.findInstallation(tenantId, pkg.pluginId)).toBeUndefined();
    expect(await store.packages.find(pkg.identifier)).toBeUndefined();
    expect(await store.runtimes.find(runtimeId)).toMatchObject({ state: "ended", end });
    const kinds = (await store.events.list({ tenantId }, { limit: 10 })).items.map(({ kind }) => kind);
    expect(kinds).toEqual(["installation.disconnect", "installation.connect"]);
  });

  it("a newer connection of a plugin removes the older one's rows, also with the same identifier", async () => {
    const tenantId = aTenant();
    const first = await connect(tenantId);
    const second = await connect(tenantId, first.pkg, "two");
    expect(second.replaced).toMatchObject({ runtimeId: first.runtimeId });
    expect(await store.packages.find(first.pkg.identifier)).toBeDefined();
    expect(await store.debug.listOfProcess("two")).toMatchObject([{ runtimeId: second.runtimeId }]);
    expect(await store.runtimes.find(first.runtimeId)).toMatchObject({ end: { reason: "replaced" } });
  });

  it("a plugin that is installed from a package keeps its rows, and a package that others need stays", async () => {
    const tenantId = aTenant();
    const pkg = aPackage();
    await store.packages.put(pkg, { tenantId });
    await store.installations.acceptInstall(anInstall(pkg, tenantId));
    await expect(connect(tenantId, pkg)).rejects.toMatchObject({ code: "conflict" });
    const other = await connect(aTenant(), pkg);
    const gone = await store.debug.disconnect(other.runtimeId, { reason: "disconnected" });
    expect(gone).toMatchObject({ unused: undefined });
    expect(await store.packages.find(pkg.identifier)).toBeDefined();
  });

  it("an install of what is connected is refused, and its uninstall leaves the end to its task", async () => {
    const tenantId = aTenant();
    const { installationId: id, pkg, runtimeId } = await connect(tenantId, aPackage(), "three");
    await expect(store.installations.acceptInstall(anInstall(pkg, tenantId))).rejects.toMatchObject({
      code: "conflict",
    });
    const { task } = await store.installations.acceptUninstall(id);
    expect(await store.debug.listOfProcess("three")).toEqual([{ runtimeId, isInstalled: false }]);
    await store.debug.disconnect(runtimeId, { reason: "disconnected" });
    expect((await store.installations.find(id))?.state).toBe("removing");
    await store.tasks.claim(task.id, "worker", HOUR_MS);
    await store.installations.publishRemoved(task.id, 1);
    expect(await store.installations.find(id)).toBeUndefined();
  });

  it("a connected plugin counts against its tenant's quota of installations", async () => {
    const tenantId = aTenant();
    await store.tenants.setQuotas(tenantId, { installationsMax: 1 }, BY);
    await connect(tenantId);
    await expect(connect(tenantId)).rejects.toMatchObject({ code: "quota_exceeded" });
  });

  it("a connection of a process that is not announced is abandoned", async () => {
    await store.processes.announce({ id: "lives", role: "serve", host: "h", pid: 1 }, HOUR_MS);
    const kept = await connect(aTenant(), aPackage(), "lives");
    const left = await connect(aTenant(), aPackage(), "died");
    const abandoned = await store.debug.listAbandoned();
    expect(abandoned).toContain(left.runtimeId);
    expect(abandoned).not.toContain(kept.runtimeId);
  });
});

const PAGE = { limit: 10, declarationBytesMax: 0 };
