/** An installation of the package `berth/echo`: ready, on a pool of its own. */
import { randomUUID } from "node:crypto";
import { InstallationId } from "../../../src/domain/ids.ts";
import type { Installation } from "../../../src/domain/installation.ts";
import type { Limits } from "../../../src/domain/limits.ts";
import { TENANT } from "../samples/callers.ts";
import { IDENTIFIER } from "./a-stored-package.ts";

export const LIMITS: Limits = {
  memoryBytes: 256 * 1024 * 1024,
  storageBytes: 64 * 1024 * 1024,
  cpuMillis: 1000,
  pidsMax: 128,
  concurrencyMax: 10,
  timeoutMs: 30_000,
  replicasMin: 1,
  replicasMax: 1,
};

export function anInstallation(changes: Partial<Installation> = {}): Installation {
  return {
    id: InstallationId.parse(randomUUID()),
    tenantId: TENANT,
    pluginId: "berth/echo",
    identifier: IDENTIFIER,
    previousIdentifier: undefined,
    previousImageKey: undefined,
    desired: "enabled",
    state: "ready",
    cause: undefined,
    generation: 1,
    limitsAsked: { memoryIsHard: false },
    limitsGranted: LIMITS,
    limitsWanted: {},
    permissions: {},
    poolKey: "0123456789abcdef",
    nextPoolKey: undefined,
    source: "package",
    meta: {},
    warnings: [],
    trust: undefined,
    createdAt: new Date(0),
    updatedAt: new Date(0),
    ...changes,
  };
}
