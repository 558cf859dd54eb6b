/** A worker refuses to start where the Engine does not see its data folder under the same path. */
import { randomUUID } from "node:crypto";
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Engine } from "../../src/engine/engine.ts";
import { checkSharedFolder } from "../../src/runtime/shared-folder.ts";
import { testEngine } from "../harness/build.ts";
import { within } from "../harness/engine.ts";

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

const CHECKS = { "berth.check": "" };

/** An Engine on whose machine our path is another one. */
function elsewhere(hostPath: string): Engine {
  return {
    ...engine,
    createContainer: (spec, signal) =>
      engine.createContainer(
        { ...spec, mounts: spec.mounts.map((mount) => ({ ...mount, hostPath })) },
        signal,
      ),
  };
}

function check(by: Engine, leftoverAgeMs = 60_000): Promise<void> {
  return checkSharedFolder({ engine: by, dataFolder, timeoutMs: 30_000, leftoverAgeMs });
}

async function left() {
  const [containers, images, files] = await Promise.all([
    engine.listContainers(CHECKS, within()),
    engine.listImages(CHECKS, within()),
    readdir(dataFolder),
  ]);
  return [...containers.map(({ name }) => name), ...images.flatMap(({ tags }) => tags), ...files];
}

test("a folder that the Engine sees passes, for several processes at once, and nothing is left of it", async () => {
  await Promise.all([check(engine), check(engine), check(engine)]);
  expect(await left()).toEqual([]);
});

test("another folder under the same path is refused with the setting, the path and the remedy", async () => {
  await expect(check(elsewhere(otherFolder))).rejects.toMatchObject({
    code: "config_invalid",
    message: expect.stringMatching(
      `^BERTH_DATA is ${dataFolder}, but the Docker Engine sees another folder under that path\\..*under the same path.*`,
    ),
    details: { field: "BERTH_DATA", value: dataFolder },
  });
  expect(await left()).toEqual([]);
});

test("a path that the Engine does not have is refused as such", async () => {
  await expect(check(elsewhere(`/nowhere-${randomUUID()}`))).rejects.toMatchObject({
    code: "config_invalid",
    message: expect.stringContaining(`${dataFolder}, but the Docker Engine sees no such folder.`),
  });
  expect(await left()).toEqual([]);
});

test("what a killed check left is removed by the next one, what is younger is another's", async () => {
  const labels = { "berth.check": randomUUID().replaceAll("-", "") };
  const reference = `berth-check:${labels["berth.check"]}`;
  await engine.importImage({ reference, labels }, Readable.from([Buffer.alloc(1024)]), within());
  const file = join(dataFolder, `.engine-check-${labels["berth.check"]}`);
  await writeFile(file, "");
  await mkdir(join(dataFolder, "run"));
  await check(engine);
  expect((await left()).sort()).toEqual([`.engine-check-${labels["berth.check"]}`, reference, "run"].sort());
  const longAgo = new Date(Date.now() - 3_600_000);
  await utimes(file, longAgo, longAgo);
  await check(engine, -60_000);
  expect(await left()).toEqual(["run"]);
});
