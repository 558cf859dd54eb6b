/** What tests of tenants' rows need: a tenant, a package, a bundle, limits, a request to install. */
import type { Bundle } from "../../../src/domain/bundle.ts";
import { TenantId } from "../../../src/domain/ids.ts";
import type { Limits } from "../../../src/domain/limits.ts";
import type { Package } from "../../../src/domain/package.ts";
import type { AcceptInstall } from "../../../src/store/contracts/installations.ts";

/** The least of everything. */
export const LIMITS: Limits = {
  memoryBytes: 1,
  storageBytes: 1,
  cpuMillis: 1,
  pidsMax: 1,
  concurrencyMax: 1,
  timeoutMs: 1,
  replicasMin: 1,
  replicasMax: 1,
};

export const aTenant = () => TenantId.parse(crypto.randomUUID());

export function aPackage(bytes = 10): Package {
  const name = `p${crypto.randomUUID().slice(0, 8)}`;
  const checksum = "c".repeat(64);
  return {
    identifier: `acme/${name}:1.0.0@${checksum}`,
    pluginId: `acme/${name}`,
    author: "acme",
    name,
    version: "1.0.0",
    checksum,
    bytes,
    dialect: "real",
    declaration: {},
    dependencies: [],
    warnings: [],
    providers: [{ kind: "tool", name: "t" }],
    runner: { language: "python", version: "3.12", entrypoint: "main", arch: ["amd64"] },
    limitsAsked: { memoryIsHard: false },
  };
}

/** A bundle of these packages. */
export function aBundle(identifiers: readonly string[]): Bundle {
  const name = `bundle_${crypto.randomUUID().slice(0, 8)}`;
  const checksum = "b".repeat(64);
  return {
    identifier: `acme/${name}:1.0.0@${checksum}`,
    author: "acme",
    name,
    version: "1.0.0",
    checksum,
    bytes: 1,
    manifest: { name },
    warnings: [],
    dependencies: identifiers.map((identifier) => ({ type: "package", identifier })),
  };
}

export function anInstall(
  { pluginId, identifier, limitsAsked }: Package,
  tenantId: TenantId,
  changes: Partial<AcceptInstall> = {},
): AcceptInstall {
  return {
    tenantId,
    pluginId,
    identifier,
    limitsAsked,
    limitsGranted: LIMITS,
    source: "package",
    meta: {},
    warnings: [],
    ...changes,
  };
}
