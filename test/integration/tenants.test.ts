/** Keys, tenants and the audit as rows, on both databases. */
import { describe, expect, test } from "vitest";
import type { Actor } from "../../src/domain/audit.ts";
import type { TenantId } from "../../src/domain/ids.ts";
import type { Package } from "../../src/domain/package.ts";
import type { Accepted, Page, PageRequest } from "../../src/store/contracts/answers.ts";
import type { ApiKey } from "../../src/store/contracts/keys.ts";
import type { Store } from "../../src/store/store.ts";
import { DATABASES, useStore } from "../harness/rigs/stores.ts";
import { anInstall, aPackage, aTenant, LIMITS } from "../harness/samples/tenant-rows.ts";

const LEASE_MS = 60_000;
const BY: Actor = { keyId: "admin", keyName: "admin", requestId: "request-1" };
describe.each(DATABASES)("keys, tenants and events on $name", ({ create }) => {
  let store: Store;
  useStore(create, (opened) => {
    store = opened;
  });

  async function aKey(tenantId: TenantId | undefined, changes: Partial<ApiKey> = {}): Promise<ApiKey> {
    const hash = crypto.randomUUID();
    return await store.keys.create({ name: "k", hint: "berth_0000", hash, tenantId, by: BY, ...changes });
  }

  function accept(pkg: Package, tenantId: TenantId, by: Actor | undefined = BY): Promise<Accepted> {
    return store.installations.acceptInstall(anInstall(pkg, tenantId, { by }));
  }

  async function ready(tenantId: TenantId, pkg = aPackage()): Promise<Accepted> {
    await store.packages.put(pkg, { tenantId, by: BY });
    const accepted = await accept(pkg, tenantId);
    const claim = await store.tasks.claim(accepted.task.id, "w", LEASE_MS);
    await store.installations.publishReady(accepted.task.id, claim?.attempt ?? 0);
    return accepted;
  }

  async function uninstallAll(tenantId: TenantId): Promise<void> {
    const { items } = await store.installations.list({ tenantId }, { limit: 100 });
    for (const { id } of items) {
      const { task } = await store.installations.acceptUninstall(id);
      const claim = await store.tasks.claim(task.id, "w", LEASE_MS);
      await store.installations.publishRemoved(task.id, claim?.attempt ?? 0);
    }
  }

  async function pagesOf<T>(read: (page: PageRequest) => Promise<Page<T>>, limit: number): Promise<T[]> {
    const seen: T[] = [];
    let cursor: string | undefined;
    do {
      const page = await read({ limit, ...(cursor !== undefined && { cursor }) });
      seen.push(...page.items);
      cursor = page.nextCursor;
    } while (cursor !== undefined);
    return seen;
  }

  const kindsOf = async (tenantId: TenantId) =>
    (await store.events.list({ tenantId }, { limit: 100 })).items.map(
      ({ kind, result }) => `${kind} ${result}`,
    );

  test("a tenant exists from its first key, upload or installation, with its counts", async () => {
    const [keyed, uploading, installing] = [aTenant(), aTenant(), aTenant()];
    expect(await store.tenants.find(keyed)).toBeUndefined();
    await aKey(keyed);
    await aKey(keyed, { expiresAt: new Date(1) });
    await store.keys.revoke((await aKey(keyed)).id);
    await store.packages.put(aPackage(3_000_000_000), { tenantId: uploading });
    const { installation } = await ready(installing);
    const pkg = aPackage();
    await store.packages.put(pkg, {});
    await accept(pkg, installing);
    await store.pools.ensure({
      key: crypto.randomUUID(),
      tenantId: installing,
      pluginId: installation.pluginId,
      identifier: installation.identifier,
      imageKey: "k",
      imageRef: "r",
      limits: LIMITS,
      wanted: true,
      runner: { entrypoint: "main" },
    });
    const nothing = { installing: 0, ready: 0, failed: 0, crash_loop: 0, disabled: 0, removing: 0 };
    expect(await store.tenants.find(keyed)).toMatchObject({
      keys: 1,
      packages: 0,
      installations: nothing,
      removingTaskId: undefined,
    });
    expect(await store.tenants.find(uploading)).toMatchObject({ packages: 1, packageBytes: 3_000_000_000 });
    expect(await store.tenants.find(installing)).toMatchObject({
      packages: 1,
      packageBytes: 10,
      keys: 0,
      runtimes: 0,
      installations: { ...nothing, ready: 1, installing: 1 },
    });
  });

  test("a running runtime counts for the tenant that owns its pool", async () => {
    const tenantId = aTenant();
    const { installation } = await ready(tenantId);
    const { RuntimeId } = await import("../../src/domain/ids.ts");
    for (const owner of [tenantId, undefined]) {
      const key = crypto.randomUUID();
      const id = RuntimeId.parse(key.replaceAll("-", "").slice(0, 10));
      await store.pools.ensure({
        key,
        tenantId: owner,
        pluginId: installation.pluginId,
        identifier: installation.identifier,
        imageKey: "k",
        imageRef: "r",
        runner: { entrypoint: "main" },
        limits: LIMITS,
        wanted: true,
      });
      await store.runtimes.create({
        id,
        poolKey: key,
        slot: 0,
        generation: 1,
        containerName: `c-${id}`,
        specHash: "h",
      });
      await store.runtimes.setState(id, "ready");
    }
    expect(await store.tenants.find(tenantId)).toMatchObject({ runtimes: 1 });
  });

  test("tenants are paged newest first, and new ones do not shift the pages", async () => {
    const made: string[] = [];
    for (let n = 0; n < 5; n += 1) {
      const tenantId = aTenant();
      made.unshift(tenantId);
      await aKey(tenantId);
    }
    let late = 0;
    const seen = await pagesOf(async (page) => {
      const answer = await store.tenants.list(page);
      await aKey(aTenant());
      late += 1;
      return answer;
    }, 2);
    expect(late).toBeGreaterThan(2);
    expect(seen.map(({ id }) => String(id)).filter((id) => made.includes(id))).toEqual(made);
    expect(new Set(seen.map(({ id }) => id)).size).toBe(seen.length);
  });

  test("an accepted removal revokes keys, marks installations, cancels tasks, and refuses additions to the tenant", async () => {
    const [tenantId, other] = [aTenant(), aTenant()];
    const [key, foreign] = [await aKey(tenantId), await aKey(other)];
    const { installation } = await ready(tenantId);
    const running = await accept(await put(tenantId), tenantId);
    const untouched = await ready(other);
    const claim = await store.tasks.claim(running.task.id, "w", LEASE_MS);

    const { task, created } = await store.tenants.acceptRemoval(tenantId, BY);
    expect({ created, kind: task.kind, tenantId: task.tenantId }).toEqual({
      created: true,
      kind: "remove_tenant",
      tenantId,
    });
    expect((await store.tenants.find(tenantId))?.removingTaskId).toBe(task.id);
    const inForce = (await store.keys.list()).map(({ id }) => id);
    expect([inForce.includes(key.id), inForce.includes(foreign.id)]).toEqual([false, true]);
    expect(await store.installations.find(installation.id)).toMatchObject({
      state: "removing",
      desired: "removed",
    });
    await expect(
      store.installations.publishReady(running.task.id, claim?.attempt ?? 0),
    ).rejects.toMatchObject({
      code: "lease_lost",
    });
    expect(await store.installations.find(untouched.installation.id)).toMatchObject({ state: "ready" });

    const conflict = { code: "conflict", details: { field: "tenant", value: tenantId, taskId: task.id } };
    await expect(accept(aPackage(), tenantId)).rejects.toMatchObject(conflict);
    await expect(aKey(tenantId)).rejects.toMatchObject(conflict);
    await expect(store.packages.put(aPackage(), { tenantId })).rejects.toMatchObject(conflict);
    expect(await store.tenants.acceptRemoval(tenantId, BY)).toEqual({ task, created: false });
    const claimed = await store.tasks.claim(task.id, "w", LEASE_MS);
    expect(claimed).toEqual({ ...task, attempt: 1, updatedAt: claimed?.updatedAt });
    await expect(store.tenants.publishRemoved(task.id, 1)).rejects.toMatchObject({ code: "conflict" });
  });

  async function put(tenantId: TenantId): Promise<Package> {
    const pkg = aPackage();
    await store.packages.put(pkg, { tenantId });
    return pkg;
  }

  test("a finished removal leaves only the audit of the tenant, and the tenant can be created again", async () => {
    const [tenantId, other] = [aTenant(), aTenant()];
    const key = await aKey(tenantId);
    const shared = aPackage();
    for (const owner of [tenantId, other]) await ready(owner, shared);
    const idempotency = { holder: "admin", key: crypto.randomUUID(), requestHash: "one" };
    const again = { ...BY, requestId: "again" };
    const pkg = await put(tenantId);
    const request = anInstall(pkg, tenantId, { by: again, idempotency });
    await store.installations.acceptInstall(request);

    const { task } = await store.tenants.acceptRemoval(tenantId, BY);
    await uninstallAll(tenantId);
    const claim = await store.tasks.claim(task.id, "w", LEASE_MS);
    await expect(store.tenants.publishRemoved(task.id, (claim?.attempt ?? 0) + 1)).rejects.toMatchObject({
      code: "lease_lost",
    });
    await store.tenants.publishRemoved(task.id, claim?.attempt ?? 0);

    expect(await store.tenants.find(tenantId)).toBeUndefined();
    expect(await store.packages.isVisibleTo(shared.identifier, tenantId)).toBe(false);
    expect(await store.packages.isVisibleTo(shared.identifier, other)).toBe(true);
    const tasks = await store.tasks.list({ tenantId }, { limit: 10 });
    expect(tasks.items).toMatchObject([{ id: task.id, state: "ready", installationId: undefined }]);
    const events = await store.tasks.events(task.id, 0);
    expect(events.flatMap((event) => (event.type === "progress" ? [event.message] : []))).toEqual([
      "revoked 1 keys",
      expect.stringMatching(/^uninstalled acme/),
      expect.stringMatching(/^uninstalled acme/),
      "removed 2 uploads (the archives stay, for operators alone)",
      "removed 1 answers kept for Idempotency-Keys",
      expect.stringMatching(/^removed \d+ earlier tasks with their logs$/),
    ]);
    expect((await store.keys.page({ tenantId }, { limit: 10 })).items).toMatchObject([{ id: key.id }]);
    expect((await store.installations.list({ tenantId: other }, { limit: 10 })).items).toHaveLength(1);

    // asked once more it is the same task; a tenant that came back is another, with a task of its own
    expect(await store.tenants.acceptRemoval(tenantId, BY)).toMatchObject({
      task: { id: task.id },
      created: false,
    });
    expect(await store.installations.acceptInstall(request)).toMatchObject({ created: true });
    const back = await store.tenants.find(tenantId);
    expect(back).toMatchObject({ keys: 0, installations: { installing: 1 } });
    expect(
      (await store.events.list({ tenantId, since: back?.createdAt ?? new Date() }, { limit: 9 })).items,
    ).toMatchObject([{ kind: "installation.install", actor: again }]);
    const second = await store.tenants.acceptRemoval(tenantId, BY);
    expect(second).toMatchObject({ created: true });
    expect(second.task.id).not.toBe(task.id);
  });

  test("a failed removal keeps the tenant closed, and can be requested again", async () => {
    const tenantId = aTenant();
    await ready(tenantId);
    const first = await store.tenants.acceptRemoval(tenantId, BY);
    const claim = await store.tasks.claim(first.task.id, "w", LEASE_MS);
    const cause = { code: "internal", message: "It went wrong." } as const;
    const end = { state: "failed", cause, markInstallation: false } as const;
    await store.tasks.finish(first.task.id, claim?.attempt ?? 0, end);
    await expect(accept(aPackage(), tenantId)).rejects.toMatchObject({ code: "conflict" });
    const second = await store.tenants.acceptRemoval(tenantId, BY);
    expect(second.created).toBe(true);
    expect(second.task.id).not.toBe(first.task.id);
  });

  test("an unknown tenant cannot be removed", async () => {
    await expect(store.tenants.acceptRemoval(aTenant(), BY)).rejects.toMatchObject({
      code: "not_found",
      details: { field: "tenant" },
    });
  });

  test("ten concurrent removals and ten installs give one task, and no installation outlives it", async () => {
    const tenantId = aTenant();
    const packages = await Promise.all(Array.from({ length: 10 }, () => put(tenantId)));
    const [installs, removals] = await Promise.all([
      Promise.allSettled(packages.map((pkg) => accept(pkg, tenantId))),
      Promise.all(packages.map(() => store.tenants.acceptRemoval(tenantId, BY))),
    ]);
    expect(new Set(removals.map(({ task }) => task.id)).size).toBe(1);
    for (const install of installs)
      if (install.status === "rejected") expect(install.reason).toMatchObject({ code: "conflict" });
    const { items } = await store.installations.list({ tenantId }, { limit: 100 });
    expect(items).toHaveLength(installs.filter(({ status }) => status === "fulfilled").length);
    for (const { state } of items) expect(state).toBe("removing");
  });

  test("every accepted request is an audit event with caller, request and the task's result", async () => {
    const tenantId = aTenant();
    const key = await aKey(tenantId);
    const by: Actor = { keyId: key.id, keyName: key.name, requestId: "request-2" };
    const pkg = aPackage();
    await store.packages.put(pkg, { tenantId, by });
    const accepted = await accept(pkg, tenantId, by);
    await accept(pkg, tenantId, by);
    expect(await kindsOf(tenantId)).toEqual([
      "installation.install accepted",
      "package.upload done",
      "key.create done",
    ]);
    const claim = await store.tasks.claim(accepted.task.id, "w", LEASE_MS);
    await store.installations.publishReady(accepted.task.id, claim?.attempt ?? 0);
    await store.installations.acceptUninstall(accepted.installation.id, { by });
    await store.keys.revoke(key.id, BY);
    await store.keys.revoke(key.id, BY);
    await store.tenants.acceptRemoval(tenantId, BY);
    expect(await kindsOf(tenantId)).toEqual([
      ...["tenant.remove accepted", "key.revoke done", "installation.uninstall accepted"],
      ...["installation.install ready", "package.upload done", "key.create done"],
    ]);
    const { id: installationId } = accepted.installation;
    const mine = await store.events.list({ installationId, kind: "installation.install" }, { limit: 5 });
    expect(mine.items).toMatchObject([
      { actor: by, tenantId, installationId, taskId: accepted.task.id, subject: pkg.identifier },
    ]);
    const all = await pagesOf((page) => store.events.list({ tenantId }, page), 2);
    expect(all.map(({ kind }) => kind)).toEqual((await kindsOf(tenantId)).map((text) => text.split(" ")[0]));
    expect(JSON.stringify(all)).not.toContain(key.hash);
  });

  test("events are purged in batches once they are old enough, and not before", async () => {
    const tenantId = aTenant();
    await aKey(tenantId);
    expect(await store.events.purge(1, 1000)).toBe(0);
    expect(await store.events.purge(0, 1)).toBe(1);
    expect(await store.events.purge(0, 100_000)).toBeGreaterThan(0);
    expect(await store.events.purge(0, 1)).toBe(0);
    expect(await kindsOf(tenantId)).toEqual([]);
  });

  test("a request whose key was just revoked is refused, and leaves no event and no tenant", async () => {
    const tenantId = aTenant();
    const key = await aKey(undefined);
    await store.keys.revoke(key.id, BY);
    const by: Actor = { keyId: key.id, keyName: key.name, requestId: "late" };
    const unauthorized = { code: "unauthorized" };
    const pkg = aPackage();
    await expect(accept(pkg, tenantId, by)).rejects.toMatchObject(unauthorized);
    await expect(store.packages.put(pkg, { tenantId, by })).rejects.toMatchObject(unauthorized);
    const { installation } = await ready(aTenant());
    await expect(store.installations.acceptUninstall(installation.id, { by })).rejects.toMatchObject(
      unauthorized,
    );
    expect(await store.tenants.find(tenantId)).toBeUndefined();
    expect(await store.packages.find(pkg.identifier)).toBeUndefined();
    expect(await kindsOf(tenantId)).toEqual([]);
  });
});
