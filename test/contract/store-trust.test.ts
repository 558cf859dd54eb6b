import { describe, expect, it } from "vitest";
import type { TenantId } from "../../src/domain/ids.ts";
import type { SignatureCategory, TrustDecision } from "../../src/domain/trust.ts";
import type { Accepted } from "../../src/store/contracts/answers.ts";
import type { Store } from "../../src/store/store.ts";
import { DATABASES, useStore } from "../harness/rigs/stores.ts";
import { anInstall, aPackage, aTenant } from "../harness/samples/tenant-rows.ts";
import { LIMITS } from "./store/accepting.ts";

const WORKER = "worker-1";

function aDecision(identifier: string, verdict: TrustDecision["verdict"]): TrustDecision {
  const decidedAt = "2026-01-01T00:00:00.000Z";
  return { identifier, verdict, policy: "warn", policyFrom: "instance", decidedAt };
}

describe.each(DATABASES)("trust on $name", ({ create }) => {
  let store: Store;
  useStore(create, (opened) => {
    store = opened;
  });

  async function publish({ task }: Accepted, trust?: TrustDecision): Promise<void> {
    const attempt = (await store.tasks.claim(task.id, WORKER, 60_000))?.attempt ?? 0;
    await store.installations.publishReady(task.id, attempt, trust === undefined ? {} : { trust });
  }

  async function accepted(tenantId: TenantId) {
    const pkg = aPackage();
    await store.packages.put(pkg, { tenantId });
    const install = await store.installations.acceptInstall(
      anInstall(pkg, tenantId, { limitsGranted: LIMITS, input: { verifySignature: true } }),
    );
    return { pkg, install };
  }

  it("a decision stays with the package it was made for, and returns with a rollback", async () => {
    const tenantId = aTenant();
    const { pkg, install } = await accepted(tenantId);
    const { id } = install.installation;
    const trustOf = async () => (await store.installations.find(id))?.trust;
    expect([install.installation.trust, install.task.input]).toEqual([undefined, { verifySignature: true }]);
    const first = aDecision(pkg.identifier, "verified");
    await store.trust.record(id, first);
    expect(await trustOf()).toEqual(first);
    await publish(install);
    expect(await trustOf()).toEqual(first);

    const next = { ...pkg, identifier: `${pkg.pluginId}:2.0.0@${"b".repeat(64)}`, version: "2.0.0" };
    await store.packages.put(next, { tenantId });
    const second = aDecision(next.identifier, "admitted");
    await store.trust.record(id, second);
    expect(await trustOf()).toEqual(first);
    await publish(
      await store.installations.acceptChange({ id, kind: "upgrade", identifier: next.identifier }),
      second,
    );
    expect(await trustOf()).toEqual(second);
    await publish(await store.installations.acceptChange({ id, kind: "rollback" }));
    expect(await trustOf()).toEqual(first);
    await publish(await store.installations.acceptChange({ id, kind: "restart" }));
    expect(await trustOf()).toEqual(first);
  });

  it("a tenant's policy can be set, changed and removed, and is removed with the tenant", async () => {
    const tenantId = aTenant();
    expect(await store.trust.policyOf(tenantId)).toBeUndefined();
    for (const policy of ["require", "off", undefined, "warn"] as const) {
      await store.trust.setPolicy(tenantId, policy);
      expect(await store.trust.policyOf(tenantId)).toBe(policy);
    }
    await store.trust.setPolicy(tenantId, "warn");
    const events = await store.events.list({ tenantId, kind: "signature_policy.set" }, { limit: 10 });
    expect(events.items.map(({ subject }) => subject)).toEqual(["warn", "the instance's", "off", "require"]);
    const { task } = await store.tenants.acceptRemoval(tenantId);
    await expect(store.trust.setPolicy(tenantId, "off")).rejects.toMatchObject({ code: "conflict" });
    const attempt = (await store.tasks.claim(task.id, WORKER, 60_000))?.attempt ?? 0;
    await store.tenants.publishRemoved(task.id, attempt);
    expect(await store.trust.policyOf(tenantId)).toBeUndefined();
  });

  it("adding the same key, admission or signature again changes nothing and causes no event", async () => {
    const key = { id: "a".repeat(64), name: "acme", pem: "pem" };
    const checksum = "c".repeat(64);
    const category: SignatureCategory = "partner";
    const signature = {
      identifier: `acme/p:1.0.0@${checksum}`,
      keyId: key.id,
      category,
      time: 1_700_000_000,
      signature: "c2ln",
      entries: ["b", "a"],
    } as const;
    for (const isNew of [true, false]) {
      const added = await store.trust.addKey({ ...key, name: isNew ? "acme" : "other" });
      expect(added).toMatchObject({ created: isNew, key: { ...key, origin: "api" } });
      const admitted = await store.trust.admit({ checksum, note: isNew ? "one" : "two" });
      expect(admitted).toMatchObject({ created: isNew, admission: { checksum, note: "one" } });
      expect(await store.trust.addSignature(signature)).toBe(isNew);
    }
    expect(await store.trust.keys()).toMatchObject([key]);
    expect(await store.trust.signaturesOf(signature.identifier)).toMatchObject([signature]);
    await store.trust.removeKey(key.id);
    await store.trust.removeAdmission(checksum);
    expect([await store.trust.keys(), await store.trust.admission(checksum)]).toEqual([[], undefined]);
    await expect(store.trust.removeKey(key.id)).rejects.toMatchObject({ code: "not_found" });
    await expect(store.trust.removeAdmission(checksum)).rejects.toMatchObject({ code: "not_found" });
    for (const kind of [
      "trusted_key.add",
      "trusted_key.remove",
      "admission.add",
      "admission.remove",
      "signature.add",
    ])
      expect((await store.events.list({ kind }, { limit: 10 })).items, kind).toHaveLength(1);
  });

  it("admissions are listed newest first, in pages", async () => {
    const checksums = [1, 2, 3].map((digit) => String(digit).repeat(64));
    for (const checksum of checksums) await store.trust.admit({ checksum, note: "" });
    const first = await store.trust.admissions({ limit: 2 });
    const rest = await store.trust.admissions({ limit: 2, cursor: first.nextCursor ?? "" });
    const seen = [...first.items, ...rest.items].map(({ checksum }) => checksum);
    expect([seen, rest.nextCursor]).toEqual([checksums.toReversed(), undefined]);
  });

  it("a request whose key was just revoked changes nothing", async () => {
    const { id } = await store.keys.create({
      name: "k",
      tenantId: undefined,
      hint: "h",
      hash: crypto.randomUUID(),
    });
    const by = { keyId: id, keyName: "k", requestId: "r" };
    await store.keys.revoke(id);
    const unauthorized = { code: "unauthorized" };
    const checksum = "d".repeat(64);
    await expect(store.trust.admit({ checksum, note: "" }, by)).rejects.toMatchObject(unauthorized);
    await expect(store.trust.addKey({ id: checksum, name: "k", pem: "p" }, by)).rejects.toMatchObject(
      unauthorized,
    );
    await expect(store.trust.setPolicy(aTenant(), "off", by)).rejects.toMatchObject(unauthorized);
    expect([await store.trust.admission(checksum), await store.trust.keys()]).toEqual([undefined, []]);
  });
});
