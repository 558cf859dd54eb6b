import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isFault } from "../../src/domain/fault.ts";
import type { TenantId } from "../../src/domain/ids.ts";
import type { Package } from "../../src/domain/package.ts";
import type { Accepted } from "../../src/store/contracts/answers.ts";
import type { AcceptChange, ChangeKind } from "../../src/store/contracts/installations.ts";
import type { Store } from "../../src/store/store.ts";
import { DATABASES, useStore } from "../harness/rigs/stores.ts";
import { length } from "../harness/samples/lengths.ts";
import { anInstall, aPackage, aTenant } from "../harness/samples/tenant-rows.ts";
import { LIMITS } from "./store/accepting.ts";

const CAUSE = { code: "start_crashed", message: "It did not start." } as const;
const WORKER = "worker-1";

/** One plugin in versions 1.0.0, 2.0.0, ... */
function versions(count: number): readonly Package[] {
  const name = `p${crypto.randomUUID().slice(0, 8)}`;
  return Array.from({ length: count }, (_, at) => {
    const version = `${at + 1}.0.0`;
    const checksum = String(at).repeat(64);
    const identifier = `acme/${name}:${version}@${checksum}`;
    return { ...aPackage(), identifier, pluginId: `acme/${name}`, name, version, checksum };
  });
}

describe.each(DATABASES)("changes of an installation on $name", ({ create }) => {
  let store: Store;
  useStore(create, (opened) => {
    store = opened;
  });

  /** Installed and ready in its first version, on a pool of its own. */
  async function installed(packages = versions(2), tenantId = aTenant()) {
    const [pkg] = packages;
    if (pkg === undefined) throw new Error("no package");
    for (const one of packages) await store.packages.put(one, { tenantId });
    const accepted = await install(pkg, tenantId);
    const { id } = accepted.installation;
    const poolKey = await pool(packages, 0, tenantId, (key) => store.installations.setPool(id, key, []));
    await publish(accepted);
    return { id, tenantId, packages, poolKey, task: accepted.task };
  }

  const install = (pkg: Package, tenantId: TenantId) =>
    store.installations.acceptInstall(anInstall(pkg, tenantId, { limitsGranted: LIMITS }));

  /** The pool of a version, pointed to before it is there. */
  async function pool(
    packages: readonly Package[],
    at: number,
    tenantId: TenantId,
    point: (key: string) => Promise<void>,
  ): Promise<string> {
    const { pluginId, identifier } = packages[at] ?? { pluginId: "", identifier: "" };
    const key = `${packages[0]?.name}-${at}-${tenantId.slice(0, 8)}`;
    await point(key);
    await store.pools.ensure({
      key,
      tenantId,
      pluginId,
      identifier,
      imageKey: `image-${at}`,
      imageRef: "i",
      wanted: true,
      runner: { entrypoint: "main" },
      limits: LIMITS,
    });
    return key;
  }

  async function claim({ task }: Accepted): Promise<number> {
    return (await store.tasks.claim(task.id, WORKER, 60_000))?.attempt ?? 0;
  }
  async function publish(accepted: Accepted): Promise<void> {
    await store.installations.publishReady(accepted.task.id, await claim(accepted));
  }
  async function fail(accepted: Accepted, state: "failed" | "cancelled" = "failed"): Promise<void> {
    const attempt = await claim(accepted);
    const end = { state, cause: CAUSE, markInstallation: false };
    await store.tasks.finish(accepted.task.id, attempt, end);
  }
  const accept = (change: AcceptChange) => store.installations.acceptChange(change);

  it("the same request returns the unfinished task, and any other request is refused with its id", async () => {
    const { id } = await installed();
    const input = { limits: { memoryBytes: 1, pidsMax: 2 } };
    const first = await accept({ id, kind: "limits", input });
    const again = await accept({ id, kind: "limits", input: { limits: { pidsMax: 2, memoryBytes: 1 } } });
    expect([again.task.id, again.created]).toEqual([first.task.id, false]);
    const details = { task_id: first.task.id, kind: "limits" };
    for (const change of [
      { kind: "restart" },
      { kind: "limits", input: { limits: { pidsMax: 3 } } },
    ] as const)
      await expect(accept({ id, ...change })).rejects.toMatchObject({ code: "conflict", details });
  });

  it("of concurrent changes one is accepted, and the others are refused with its task", async () => {
    const { id, packages } = await installed();
    const changes: AcceptChange[] = [
      { id, kind: "restart" },
      { id, kind: "disable" },
      { id, kind: "upgrade", identifier: packages[1]?.identifier ?? "" },
    ];
    const answers = await Promise.allSettled(changes.map(accept));
    const won = answers.flatMap((one) => (one.status === "fulfilled" ? [one.value.task] : []));
    const lost = answers.flatMap((one) => (one.status === "rejected" ? [one.reason] : []));
    expect([won.length, lost.length]).toEqual([1, 2]);
    for (const reason of lost)
      expect(reason).toMatchObject({
        code: "conflict",
        details: { task_id: won[0]?.id, kind: won[0]?.kind },
      });
  });

  it("an idempotency key returns the first answer to a change", async () => {
    const { id } = await installed();
    const idempotency = { holder: "a-key", key: crypto.randomUUID(), requestHash: "one" };
    const first = await accept({ id, kind: "restart", idempotency });
    await publish(first);
    expect((await accept({ id, kind: "restart", idempotency })).task.id).toBe(first.task.id);
    await expect(
      accept({ id, kind: "disable", idempotency: { ...idempotency, requestHash: "other" } }),
    ).rejects.toMatchObject({
      code: "idempotency_mismatch",
    });
    expect((await accept({ id, kind: "restart" })).task.id).not.toBe(first.task.id);
  });

  it("an upgrade switches to the next pool in one step, keeps what a rollback needs, and retires the old pool", async () => {
    const { id, packages, poolKey, tenantId } = await installed();
    const identifier = packages[1]?.identifier ?? "";
    const upgrade = await accept({ id, kind: "upgrade", identifier });
    const next = await pool(packages, 1, tenantId, (key) => store.installations.setNextPool(id, key));
    expect(await store.installations.find(id)).toMatchObject({ poolKey, nextPoolKey: next });
    expect(await store.pools.unwantUnused(next)).toBe(false);
    await publish(upgrade);
    expect(await store.installations.find(id)).toMatchObject({
      state: "ready",
      identifier,
      poolKey: next,
      nextPoolKey: undefined,
      previousIdentifier: packages[0]?.identifier,
      previousImageKey: "image-0",
    });
    expect(await store.pools.find(poolKey)).toMatchObject({ wanted: false, retiring: true });
    const again = await accept({ id, kind: "upgrade", identifier });
    expect([again.task.id, again.created]).toEqual([upgrade.task.id, false]);
    await fail(await accept({ id, kind: "rollback" }));
    expect(await store.installations.find(id)).toMatchObject({ state: "ready", identifier, poolKey: next });
  });

  it("an upgrade keeps what the operator grants and the credentials of the plugin's providers", async () => {
    const { id, packages, tenantId } = await installed();
    const [{ pluginId } = { pluginId: "" }, { identifier } = { identifier: "" }] = packages;
    await store.permissions.set(id, { tool: false });
    const of = {
      installationId: id,
      tenantId,
      pluginId,
      kind: "tool",
      provider: "t",
      model: undefined,
    } as const;
    const kept = { id: store.credentials.newId(), name: "a", fields: [], sealed: "s" };
    const credential = await store.credentials.create({ ...of, ...kept });
    await publish(await accept({ id, kind: "upgrade", identifier }));
    expect(await store.installations.find(id)).toMatchObject({ identifier, permissions: { tool: false } });
    expect(await store.credentials.find(credential)).toEqual(credential);
  });

  it("an install of an installed package returns its task, and is refused during another change", async () => {
    const { id, packages, tenantId, task } = await installed();
    const [first, second] = packages;
    if (first === undefined || second === undefined) throw new Error("no packages");
    const again = () => install(first, tenantId);
    await fail(await accept({ id, kind: "restart" }));
    expect((await again()).task.id).toBe(task.id);
    const upgrade = await accept({ id, kind: "upgrade", identifier: second.identifier });
    const details = { task_id: upgrade.task.id, kind: "upgrade" };
    await expect(again()).rejects.toMatchObject({ code: "conflict", details });
    await fail(upgrade);
    expect(await again()).toMatchObject({ created: false, task: { id: task.id } });
  });

  it("an installation that could not be enabled stays disabled, with the cause", async () => {
    const { id, poolKey } = await installed();
    const disabled = await accept({ id, kind: "disable" });
    expect(disabled.installation).toMatchObject({ desired: "disabled", state: "disabled" });
    expect(await store.pools.unwantIdle(poolKey)).toBe(true);
    await publish(disabled);
    await expect(accept({ id, kind: "restart" })).rejects.toMatchObject({ code: "plugin_disabled" });
    const enabling = await accept({ id, kind: "enable" });
    await store.pools.setWanted(poolKey, true);
    await fail(enabling);
    expect(await store.installations.find(id)).toMatchObject({
      desired: "disabled",
      state: "disabled",
      cause: { code: CAUSE.code },
    });
    expect(await store.pools.find(poolKey)).toMatchObject({ wanted: false, retiring: false });
    await publish(await accept({ id, kind: "enable" }));
    expect(await store.installations.find(id)).toMatchObject({
      desired: "enabled",
      state: "ready",
      cause: undefined,
    });
  });

  it("an upload schedules upgrades of older versions: for its tenant, for all, or for tenants that chose them", async () => {
    const packages = versions(3);
    const [first, second, third] = packages;
    if (first === undefined || second === undefined || third === undefined) throw new Error("no packages");
    const one = await installed([first]);
    const [other, chosen] = [await installed([first]), await installed([first])];
    await store.tenants.setSettings(chosen.tenantId, { upgrade: true });
    const due = async ({ identifier }: Package) =>
      (await store.upgrades.listDue({ identifier }, 100)).map(({ installationId }) => installationId).sort();
    await store.packages.put(second, {});
    expect(await due(second)).toEqual([chosen.id]);
    await store.packages.put(second, { tenantId: one.tenantId, upgrade: true });
    expect(await due(second)).toEqual([one.id, chosen.id].sort());
    const upgrade = await accept({ id: one.id, kind: "upgrade", identifier: second.identifier });
    expect(await due(second)).toEqual([chosen.id]);
    await publish(upgrade);
    await store.packages.put(third, { upgrade: true });
    expect(await due(third)).toEqual([one.id, other.id, chosen.id].sort());
    await store.packages.put(second, { upgrade: true });
    expect(await due(second)).toEqual([]);
    expect(await store.upgrades.listDue({ minAgeMs: 3_600_000 }, 100)).toEqual([]);
  });

  const Step = fc.record({
    kind: fc.constantFrom<ChangeKind>("upgrade", "rollback", "restart", "enable", "disable", "limits"),
    version: fc.nat({ max: 2 }),
    end: fc.constantFrom("ready", "failed", "cancelled", "open"),
  });

  it("any sequence of changes leaves at most one unfinished task, one pool in use and the right versions", async () => {
    const property = fc.asyncProperty(fc.array(Step, { minLength: 3, maxLength: 12 }), async (steps) => {
      const { id, packages, tenantId } = await installed(versions(3));
      const has: { identifier: string; previous: string | undefined } = {
        identifier: packages[0]?.identifier ?? "",
        previous: undefined,
      };
      const made = new Set<string>([(await store.installations.find(id))?.poolKey ?? ""]);
      for (const { kind, version, end } of steps) {
        const identifier = packages[version]?.identifier ?? "";
        const accepted = await accept({
          id,
          kind,
          identifier,
          input: { limits: { pidsMax: version } },
        }).catch((error: unknown) => {
          expect(isFault(error, "conflict") || isFault(error, "plugin_disabled")).toBe(true);
          return undefined;
        });
        if (accepted?.created === true && end !== "open") {
          const to = packages.findIndex((pkg) => pkg.identifier === accepted.task.identifier);
          if (accepted.task.identifier !== has.identifier)
            made.add(await pool(packages, to, tenantId, (key) => store.installations.setNextPool(id, key)));
          if (end === "ready") await publish(accepted);
          else await fail(accepted, end);
          if (end === "ready" && accepted.task.identifier !== has.identifier) {
            has.previous = has.identifier;
            has.identifier = accepted.task.identifier ?? "";
          }
        }
        const found = await store.installations.find(id);
        const { items } = await store.tasks.list({ tenantId, installationId: id }, { limit: 100 });
        const unfinished = items.filter(({ finishedAt }) => finishedAt === undefined);
        expect(unfinished.length).toBeLessThanOrEqual(1);
        expect(found).toMatchObject({ identifier: has.identifier, previousIdentifier: has.previous });
        if (unfinished.length > 0) continue;
        expect(found?.nextPoolKey).toBeUndefined();
        expect(found?.state).toBe(found?.desired === "disabled" ? "disabled" : "ready");
        for (const key of made) expect((await store.pools.find(key))?.retiring).toBe(key !== found?.poolKey);
      }
    });
    await fc.assert(property, { numRuns: length({ short: 8, soak: 200 }), endOnFailure: true });
  }, 120_000);
});
