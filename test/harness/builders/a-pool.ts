/** A pool whose desired state is one runtime of `berth-tests/echo`, before anything was started. */
import type { Pool } from "../../../src/domain/runtime.ts";

const MIB = 1 << 20;

export function aPool(changes: Partial<Pool> = {}): Pool {
  return {
    key: "0123456789abcdef",
    tenantId: undefined,
    pluginId: "berth-tests/echo",
    identifier: `berth-tests/echo:0.0.1@${"0".repeat(64)}`,
    imageKey: "an-image-key",
    imageRef: "an-image:latest",
    runner: { entrypoint: "main" },
    limits: {
      memoryBytes: 64 * MIB,
      storageBytes: 16 * MIB,
      cpuMillis: 1_000,
      pidsMax: 64,
      concurrencyMax: 10,
      timeoutMs: 30_000,
      replicasMin: 1,
      replicasMax: 1,
    },
    variables: [],
    filesVersion: undefined,
    uidOffset: 7,
    wanted: true,
    state: "idle",
    cause: undefined,
    nextStartAt: undefined,
    lease: undefined,
    startAsked: 0,
    startAnswered: 0,
    startFault: undefined,
    removalAsked: false,
    retiring: false,
    nextLimits: undefined,
    generationMin: 0,
    ...changes,
  };
}
