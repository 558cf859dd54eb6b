/** What the store's contract is tested with: a tenant, a package, and installations in progress. */
import { expect } from "vitest";
import type { TenantId } from "../../../src/domain/ids.ts";
import type { Limits } from "../../../src/domain/limits.ts";
import type { Package } from "../../../src/domain/package.ts";
import type { Accepted } from "../../../src/store/contracts/answers.ts";
import type { AcceptInstall } from "../../../src/store/contracts/installations.ts";
import type { Store } from "../../../src/store/store.ts";
import { aTenant, anInstall as rowsInstall } from "../../harness/samples/tenant-rows.ts";

export const LEASE_MS = 60_000;
/** How far ahead a lease ends that was written before the clock was set back by an hour. */
export const AHEAD_MS = 3_600_000 + LEASE_MS;
export const LIMITS: Limits = {
  memoryBytes: 2 ** 28,
  storageBytes: 2 ** 20,
  cpuMillis: 500,
  pidsMax: 64,
  concurrencyMax: 10,
  timeoutMs: 30_000,
  replicasMin: 1,
  replicasMax: 1,
};
export const CAUSE = { code: "build_failed", message: "It did not build." } as const;

export function aPackage(): Package {
  const name = `p${crypto.randomUUID().slice(0, 8)}`;
  const checksum = "a".repeat(64);
  return {
    identifier: `acme/${name}:1.0.0@${checksum}`,
    pluginId: `acme/${name}`,
    author: "acme",
    name,
    version: "1.0.0",
    checksum,
    bytes: 10,
    dialect: "real",
    declaration: { zebra: 1, ant: 2 },
    providers: [{ kind: "tool", name: "clock" }],
    runner: { language: "python", version: "3.12", entrypoint: "main", arch: ["amd64"] },
    limitsAsked: { memoryIsHard: false },
    dependencies: [],
    warnings: [],
  };
}

export function anInstall(pkg: Package, tenantId: TenantId): AcceptInstall {
  return rowsInstall(pkg, tenantId, { limitsGranted: LIMITS });
}

/** Installs in a store that is open when a test runs. */
export function accepting(store: () => Store) {
  const accepted = async (pkg = aPackage(), tenantId = aTenant()): Promise<Accepted> => {
    await store().packages.put(pkg, { tenantId });
    return store().installations.acceptInstall(anInstall(pkg, tenantId));
  };
  const claimed = async ({ task }: Pick<Accepted, "task">): Promise<number> => {
    const taken = await store().tasks.claim(task.id, "worker-1", LEASE_MS);
    expect(taken).toBeDefined();
    return taken?.attempt ?? 0;
  };
  const ready = async (pkg = aPackage(), tenantId = aTenant()): Promise<Accepted> => {
    const asked = await accepted(pkg, tenantId);
    await store().installations.publishReady(asked.task.id, await claimed(asked));
    return asked;
  };
  return { accepted, claimed, ready };
}
