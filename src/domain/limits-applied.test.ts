import { describe, expect, it } from "vitest";
import type { Limits } from "./limits.ts";
import { asRolling, changesContainers, planLimits } from "./limits-applied.ts";

const limits: Limits = {
  memoryBytes: 256,
  storageBytes: 100,
  cpuMillis: 1_000,
  pidsMax: 128,
  concurrencyMax: 10,
  timeoutMs: 30_000,
  replicasMin: 1,
  replicasMax: 1,
};
const planOf = (changes: Partial<Limits>, containers: Parameters<typeof planLimits>[2] = "running") =>
  planLimits(limits, { ...limits, ...changes }, containers);

describe("limits that change", () => {
  it("take effect in the running container: CPU, processes and more memory", () => {
    const plan = planOf({ cpuMillis: 500, pidsMax: 64, memoryBytes: 512, timeoutMs: 1 });
    expect(plan).toEqual({ cpuMillis: "live", pidsMax: "live", memoryBytes: "live", timeoutMs: "next_call" });
    expect(changesContainers(plan)).toBe(true);
    expect(asRolling(plan)).toEqual({
      cpuMillis: "rolling",
      pidsMax: "rolling",
      memoryBytes: "rolling",
      timeoutMs: "next_call",
    });
  });

  it("all come with a new container if one of them needs it", () => {
    expect(planOf({ memoryBytes: 128, cpuMillis: 500 })).toEqual({
      memoryBytes: "rolling",
      cpuMillis: "rolling",
    });
    expect(planOf({ storageBytes: 200 })).toEqual({ storageBytes: "rolling" });
  });

  it("on the number of containers replace no container", () => {
    const plan = planOf({ replicasMax: 3, storageBytes: 200 });
    expect(plan).toEqual({ replicasMax: "live", storageBytes: "rolling" });
    expect(asRolling({ ...plan, cpuMillis: "live" })).toEqual({ ...plan, cpuMillis: "rolling" });
  });

  it("on calls change no container", () => {
    const plan = planOf({ concurrencyMax: 1, timeoutMs: 5 });
    expect(plan).toEqual({ concurrencyMax: "next_call", timeoutMs: "next_call" });
    expect(changesContainers(plan)).toBe(false);
  });

  it("wait for the next start if nothing runs, and do not apply in a shared pool", () => {
    expect(planOf({ pidsMax: 64 }, "stopped")).toEqual({ pidsMax: "next_start" });
    expect(planOf({ pidsMax: 64 }, "new")).toEqual({ pidsMax: "rolling" });
    expect(planOf({ pidsMax: 64, timeoutMs: 5 }, "shared")).toEqual({ timeoutMs: "next_call" });
    expect(planOf({})).toEqual({});
  });
});
