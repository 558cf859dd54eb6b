import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { HostStrain } from "./host-strain.ts";
import { readCpuPressure } from "./host-watch.ts";

const RULES = { lateMs: 1_000, pressurePercentMax: 60, lookBackMs: 2_000, keptMs: 600_000 };

/** Beats each 250 ms from `from` to `until`. */
function beat(strain: HostStrain, from: number, until: number): void {
  for (let at = from; at <= until; at += 250) strain.beat(at, 250);
}

describe("a process that did not run", () => {
  test("is seen by its timer's next beat, and before it", () => {
    const strain = new HostStrain(RULES);
    beat(strain, 0, 10_000);
    expect(strain.explain(5_000, 10_000)).toBeUndefined();
    expect(strain.explain(5_000, 190_000)).toBe("Berth itself did not run for 179750 ms");
    strain.beat(190_000, 250);
    expect(strain.explain(9_000, 190_100)).toBe("Berth itself did not run for 179750 ms");
  });

  test("does not count for later requests", () => {
    const strain = new HostStrain(RULES);
    beat(strain, 0, 1_000);
    beat(strain, 181_000, 190_000);
    expect(strain.explain(184_000, 186_000)).toBeUndefined();
  });

  test("is not told from a clock that was set, forward or back", () => {
    for (const hour of [3_600_000, -3_600_000]) {
      const strain = new HostStrain(RULES);
      beat(strain, 0, 10_000);
      strain.beat(10_000 + hour, 250);
      expect(strain.explain(9_000 + Math.min(0, hour), 10_100 + hour)).toMatch(/^Berth itself/);
    }
  });
});

describe("a host that makes work wait", () => {
  test("is measured by the share of the requested time", () => {
    const strain = new HostStrain(RULES);
    beat(strain, 0, 20_000);
    strain.stalled(0, 0);
    strain.stalled(10_000, 1_000_000);
    strain.stalled(20_000, 9_000_000);
    expect(strain.explain(2_000, 20_000)).toBeUndefined();
    expect(strain.explain(12_000, 20_000)).toBe(
      "work waited for a processor of the host in 80 % of the time",
    );
  });

  test("is not guessed when the kernel gives no numbers", () => {
    const strain = new HostStrain(RULES);
    beat(strain, 0, 20_000);
    strain.stalled(1_000, 5_000_000);
    expect(strain.explain(0, 20_000)).toBeUndefined();
  });
});

test("the kernel's file is read, and its absence is no error", async () => {
  const folder = await mkdtemp(join(tmpdir(), "psi-"));
  const path = join(folder, "cpu");
  expect(await readCpuPressure(path)).toBeUndefined();
  await writeFile(
    path,
    "some avg10=92.45 avg60=61.41 avg300=23.74 total=111066047\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n",
  );
  expect(await readCpuPressure(path)).toBe(111_066_047);
  await rm(folder, { recursive: true });
});
