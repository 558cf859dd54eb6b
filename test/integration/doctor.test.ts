/** The doctor on the real engine: what holds is told as that, and so is what does not. */
import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ContainerSpec } from "../../src/domain/container.ts";
import type { DoctorCheck } from "../../src/domain/doctor.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { silentLog } from "../../src/observe/log.ts";
import { type DoctorDeps, examine, examineOnce, readReport } from "../../src/runtime/doctor/doctor.ts";
import { PROFILE_DEFAULTS } from "../../src/runtime/settings.ts";
import { testEngine } from "../harness/rigs/build.ts";
import { within } from "../harness/rigs/test-engine.ts";

const PROBE_FILE = join(import.meta.dirname, "../../runtime-images/python/probe.py");

let engine: Engine;
let dataFolder: string;
const instanceId = `doctor-test-${randomBytes(4).toString("hex")}`;
beforeAll(async () => {
  engine = testEngine();
  dataFolder = await mkdtemp(join(tmpdir(), "berth-doctor-"));
});
afterAll(async () => {
  const left = await engine.listContainers({ "berth.instance": instanceId }, within());
  await engine[Symbol.asyncDispose]();
  await rm(dataFolder, { recursive: true });
  expect(left).toEqual([]);
});

/** The same engine, which makes another container than it is asked for. */
function lax(change: (spec: ContainerSpec) => ContainerSpec): Engine {
  return { ...engine, createContainer: (spec, signal) => engine.createContainer(change(spec), signal) };
}

async function deps(by: Engine, log = silentLog): Promise<DoctorDeps> {
  return {
    engine: by,
    instanceId,
    dataFolder,
    log,
    info: await engine.info(within()),
    probeFile: PROBE_FILE,
    profile: { ...PROFILE_DEFAULTS, network: "none" },
    port: 0,
  };
}

/** A machine that is too busy to reach its quota proves nothing about it. */
function statuses(checks: readonly DoctorCheck[]): Record<string, string> {
  return Object.fromEntries(checks.map(({ name, status }) => [name, status]));
}

test("every limit of the profile holds, and the examination leaves nothing behind", async () => {
  const { checks } = await examine(await deps(engine), within(120_000));
  expect(statuses(checks)).toEqual({
    memory: "ok",
    cpu: expect.stringMatching(/^(ok|unknown)$/),
    pids: "ok",
    open_files: "ok",
    tmp: "ok",
    root: "ok",
    user: "ok",
    capabilities: "ok",
    privileges: "ok",
    seccomp: "ok",
    network: "ok",
  });
  expect(await engine.listContainers({ "berth.instance": instanceId }, within())).toEqual([]);
  expect(await readdir(dataFolder)).toEqual([]);
});

test("an engine that grants more than requested is reported check by check, with advice", async () => {
  const generous = lax((spec) => ({
    ...spec,
    user: "0:0",
    readOnlyRoot: false,
    capabilities: ["NET_RAW"],
    network: "bridge",
    resources: {
      ...spec.resources,
      memoryBytes: spec.resources.memoryBytes * 4,
      cpuMillis: 1_000_000,
      pidsMax: 512,
      openFilesMax: spec.resources.openFilesMax * 2,
    },
    tmpfs: spec.tmpfs.map((mount) => ({ ...mount, bytes: mount.bytes * 4, inodes: mount.inodes * 4 })),
  }));
  const { checks } = await examine(await deps(generous), within(120_000));
  expect(statuses(checks)).toEqual({
    memory: "failed",
    cpu: expect.stringMatching(/^(failed|unknown)$/),
    pids: "failed",
    open_files: "failed",
    tmp: "failed",
    root: "failed",
    user: "failed",
    capabilities: "failed",
    privileges: "ok",
    seccomp: "ok",
    network: "failed",
  });
  for (const { status, advice } of checks) expect(advice === undefined).toBe(status === "ok");
});

test("a start examines each engine and profile once and logs what does not hold", async () => {
  const lines: object[] = [];
  const log = { ...silentLog, warn: (fields: object) => void lines.push(fields) };
  let made = 0;
  const unsafe = lax((spec) => {
    made++;
    return { ...spec, user: "100123:100123" };
  });
  await examineOnce(await deps(unsafe, log), within(120_000));
  await examineOnce(await deps(unsafe, log), within(120_000));
  expect(made).toBe(1);
  expect(lines).toContainEqual(expect.objectContaining({ op: "doctor.check", check: "user", ok: false }));
  const report = await readReport(dataFolder);
  expect(report?.checks.find(({ name }) => name === "user")?.found).toMatch(/runs as 100123:100123/);
  const changed: DoctorDeps = {
    ...(await deps(unsafe, log)),
    profile: { ...PROFILE_DEFAULTS, network: "none", openFilesMax: 1000 },
  };
  await examineOnce(changed, within(120_000));
  expect(made).toBe(2);
});

test("without a runtime image the examination logs image_missing and writes no report", async () => {
  const lines: { err?: unknown }[] = [];
  const log = { ...silentLog, warn: (fields: object) => void lines.push(fields) };
  await rm(join(dataFolder, "doctor.json"));
  await examineOnce(await deps({ ...engine, listImages: async () => [] }, log), within());
  expect(lines).toMatchObject([{ op: "doctor.run", ok: false, err: { code: "image_missing" } }]);
  expect(await readReport(dataFolder)).toBeUndefined();
});
