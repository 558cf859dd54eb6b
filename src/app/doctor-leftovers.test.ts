import { spawnSync } from "node:child_process";
import { access, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { aContainerSpec, within } from "../../test/harness/rigs/test-engine.ts";
import { MemoryEngine } from "../../test/support/engine-memory/memory-engine.ts";
import { formatLabels } from "../engine/labels.ts";
import { silentLog } from "../observe/log.ts";
import { networkSpec } from "../runtime/launch/profile.ts";
import { systemClock } from "../util/clock.ts";
import { beginDoctor, type DoctorLeftoversDeps, removeDoctorLeftovers } from "./doctor-leftovers.ts";

const ID = "drabcdef";
const MARK = `berth-${ID}-doctor`;
const HOUR_MS = 3_600_000;
let engine: MemoryEngine;
let deps: DoctorLeftoversDeps;

beforeEach(async () => {
  engine = new MemoryEngine({ now: () => Date.now() });
  const dataFolder = await mkdtemp(join(tmpdir(), "berth-left-"));
  deps = { engine, log: silentLog, clock: systemClock, dataFolder };
  engine.addImage("an-image:1", {});
});
afterEach(() => rm(deps.dataFolder, { recursive: true }));

/** As one that was killed at the height of its work, by the process that its mark says. */
async function leave(changes: object): Promise<void> {
  await beginDoctor(deps, ID, within());
  const { process: text = "", ...labels } = labelled(
    (await engine.listMarks({}, within())).find(({ name }) => name === MARK)?.labels ?? {},
  );
  await engine.removeMark(MARK, within());
  const process = JSON.stringify({ ...JSON.parse(text), ...changes });
  await engine.ensureMark({ name: MARK, labels: { ...labels, "berth.process": process } }, within());
  await engine.ensureNetwork(networkSpec(ID), within());
  const network = `berth-${ID}`;
  for (const [name, kind] of [
    [`${network}-egress`, "egress"],
    [`${network}-probe-1`, "probe"],
  ] as const) {
    const made = formatLabels({ instance: ID, kind });
    await engine.createContainer(aContainerSpec({ name, image: "an-image:1", labels: made }), within());
  }
}

function labelled(labels: Readonly<Record<string, string>>) {
  const { "berth.process": process, ...rest } = labels;
  return { process, ...rest };
}

async function left() {
  const folder = join(deps.dataFolder, `doctor-${ID}`);
  return {
    containers: (await engine.listContainers({}, within())).length,
    networks: (await engine.listNetworks({}, within())).length,
    marks: (await engine.listMarks({}, within())).length,
    folder: await access(folder).then(
      () => 1,
      () => 0,
    ),
  };
}

const NOTHING = { containers: 0, networks: 0, marks: 0, folder: 0 };
const ALL = { containers: 2, networks: 1, marks: 1, folder: 1 };

it.each([
  ["a process that has ended", () => ({ pid: spawnSync("true").pid })],
  ["a process whose pid now belongs to another process", () => ({ startTime: "1" })],
  ["a process of an earlier boot", () => ({ bootId: "another" })],
  [
    "a process of another container, long ago",
    () => ({ namespace: "pid:[1]", startedAt: Date.now() - HOUR_MS }),
  ],
])("removes everything that a killed doctor left: %s", async (_, gone) => {
  await leave(gone());
  await removeDoctorLeftovers(deps, within());
  expect(await left()).toEqual(NOTHING);
});

it.each([
  ["this process", () => ({})],
  ["another container's, where pids mean nothing here", () => ({ namespace: "pid:[1]", pid: 1 })],
])("leaves a running doctor alone: %s", async (_, atWork) => {
  await leave(atWork());
  await removeDoctorLeftovers(deps, within());
  expect(await left()).toEqual(ALL);
});

it("keeps everything if the mark cannot be read", async () => {
  await leave({ pid: "none" });
  await removeDoctorLeftovers(deps, within());
  expect(await left()).toEqual(ALL);
});

it("removes a folder whose mark another Berth has removed", async () => {
  await beginDoctor(deps, ID, within());
  await engine.removeMark(MARK, within());
  await removeDoctorLeftovers(deps, within());
  expect(await left()).toEqual(NOTHING);
});

it("marks a doctor while it runs", async () => {
  await using begun = await beginDoctor(deps, ID, within());
  expect(await left()).toMatchObject({ marks: 1, folder: 1 });
  await begun[Symbol.asyncDispose]();
  expect(await left()).toEqual(NOTHING);
});
