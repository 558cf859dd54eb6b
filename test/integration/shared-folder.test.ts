/** A worker refuses to start where the engine does not see its data folder under the same path. */
import { randomUUID } from "node:crypto";
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Engine } from "../../src/engine/engine.ts";
import { checkSharedFolder } from "../../src/runtime/launch/shared-folder.ts";
import { testEngine } from "../harness/rigs/build.ts";
import { within } from "../harness/rigs/test-engine.ts";

let engine: Engine;
let dataFolder: string;
let otherFolder: string;
beforeAll(async () => {
  engine = testEngine();
  dataFolder = await mkdtemp(join(tmpdir(), "berth-shared-"));
  otherFolder = await mkdtemp(join(tmpdir(), "berth-other-"));
});
afterAll(async () => {
  await engine[Symbol.asyncDispose]();
  await rm(dataFolder, { recursive: true });
  await rm(otherFolder, { recursive: true });
});

/** Names of what the checks of this file made: another Berth on the machine may be checking too. */
const made = new Set<string>();

/** The engine, showing what was made here alone; where `hostPath` is given, our path is another one on its machine. */
function watched(hostPath?: string): Engine {
  return {
    ...engine,
    listContainers: async (labels, signal) =>
      (await engine.listContainers(labels, signal)).filter(({ name }) => made.has(name)),
    listImages: async (labels, signal) =>
      (await engine.listImages(labels, signal)).filter(({ tags }) => tags.some((tag) => made.has(tag))),
    importImage: (spec, tar, signal) => {
      made.add(spec.reference);
      return engine.importImage(spec, tar, signal);
    },
    createContainer: (spec, signal) => {
      made.add(spec.name);
      const mounts = spec.mounts.map((mount) => ({ ...mount, hostPath: hostPath ?? mount.hostPath }));
      return engine.createContainer({ ...spec, mounts }, signal);
    },
  };
}

function check(by: Engine, leftoverAgeMs = 60_000): Promise<void> {
  return checkSharedFolder({ engine: by, dataFolder, timeoutMs: 30_000, leftoverAgeMs });
}

async function left(): Promise<readonly string[]> {
  const labels = { "berth.check": "" };
  const ours = watched();
  const [containers, images, files] = await Promise.all([
    ours.listContainers(labels, within()),
    ours.listImages(labels, within()),
    readdir(dataFolder),
  ]);
  return [...containers.map(({ name }) => name), ...images.flatMap(({ tags }) => tags), ...files].sort();
}

test("a folder that the engine sees passes for several processes at once, and the checks leave nothing behind", async () => {
  await Promise.all([check(watched()), check(watched()), check(watched())]);
  expect(made.size).toBe(6);
  expect(await left()).toEqual([]);
});

test("another folder under the same path is refused with the setting, the path and the remedy", async () => {
  await expect(check(watched(otherFolder))).rejects.toMatchObject({
    code: "config_invalid",
    message: expect.stringMatching(
      `^BERTH_DATA is ${dataFolder}, but the Docker Engine sees another folder under that path\\..*under the same path.*`,
    ),
    details: { field: "BERTH_DATA", value: dataFolder },
  });
  expect(await left()).toEqual([]);
});

test("a path that the engine does not have is refused with that reason", async () => {
  await expect(check(watched(`/nowhere-${randomUUID()}`))).rejects.toMatchObject({
    code: "config_invalid",
    message: expect.stringContaining(`${dataFolder}, but the Docker Engine sees no such folder.`),
  });
  expect(await left()).toEqual([]);
});

test("the leftovers of a killed check are removed by a later check, and younger files are kept", async () => {
  const labels = { "berth.check": randomUUID().replaceAll("-", "") };
  const reference = `berth-check:${labels["berth.check"]}`;
  await engine.importImage({ reference, labels }, Readable.from([Buffer.alloc(1024)]), within());
  made.add(reference);
  const file = join(dataFolder, `.engine-check-${labels["berth.check"]}`);
  await writeFile(file, "");
  await mkdir(join(dataFolder, "run"));
  await check(watched());
  expect(await left()).toEqual([`.engine-check-${labels["berth.check"]}`, reference, "run"].sort());
  const longAgo = new Date(Date.now() - 3_600_000);
  await utimes(file, longAgo, longAgo);
  await check(watched(), -60_000);
  expect(await left()).toEqual(["run"]);
});
