import { mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { silentLog } from "../../observe/log.ts";
import { cgroupParentFor, fairWeightPercent, setCgroupWeight } from "./cgroup.ts";

test.each([
  ["1", "cpu/berth/cpu.shares", "2048"],
  ["2", "berth.slice/cpu.weight", "100"],
] as const)("plugins get a fair share with cgroup version %s", async (cgroupVersion, file, weight) => {
  const root = await mkdtemp(join(tmpdir(), "cgroup-"));
  if (cgroupVersion === "1") await mkdir(join(root, "cpu"));
  const parent = cgroupParentFor({ cgroupVersion });
  const weightPercent = fairWeightPercent({ cgroupVersion, cpus: 2 });
  const isSet = await setCgroupWeight({ root, parent, weightPercent, cgroupVersion, log: silentLog });
  expect([isSet, await readFile(join(root, file), "utf8")]).toEqual([true, weight]);
  await rm(root, { recursive: true });
});

test("the warning on a host that does not let the weight be written says what to write", async () => {
  const said: unknown[] = [];
  const log = { ...silentLog, warn: (fields: object, text?: string) => said.push([fields, text]) };
  const root = join(tmpdir(), "no-such-cgroup");
  const options = { root, parent: "/berth", weightPercent: 200, cgroupVersion: "1" } as const;
  expect(await setCgroupWeight({ ...options, log: log as typeof silentLog })).toBe(false);
  expect(JSON.stringify(said)).toContain("2048 in");
});
