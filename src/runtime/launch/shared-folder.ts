/**
 * Checks that the engine sees the data folder under the same path as this process: it mounts parts of that folder into
 * containers, so a Berth in a container must have it at the host's path. Nothing is started: the check looks for a file
 * with a random name through the mount of a container that is made of an empty image and never runs.
 */
import { randomBytes } from "node:crypto";
import { readdir, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import type { ContainerSpec } from "../../domain/container.ts";
import { Fault, isFault } from "../../domain/fault.ts";
import type { Engine } from "../../engine/engine.ts";

export interface SharedFolderDeps {
  readonly engine: Engine;
  /** Absolute. */
  readonly dataFolder: string;
  readonly timeoutMs: number;
  /** Remains of an earlier check that was killed are removed from this age on. */
  readonly leftoverAgeMs: number;
}

const PREFIX = ".engine-check-";
const LABEL = "berth.check";
const MOUNTED_AT = "/data";
/** A tar without entries: two empty blocks. */
const NO_FILES = Buffer.alloc(1024);

/**
 * Throws `config_invalid` if the engine has no folder, or another one, under that path. Leaves no file, image or
 * container behind, and may run in any number of processes at once.
 */
export async function checkSharedFolder(deps: SharedFolderDeps): Promise<void> {
  const { engine, dataFolder, timeoutMs } = deps;
  const signal = AbortSignal.timeout(timeoutMs);
  const id = randomBytes(12).toString("hex");
  const file = join(dataFolder, `${PREFIX}${id}`);
  const image = { reference: `berth-check:${id}`, labels: { [LABEL]: id } };
  // Best effort: the next check removes what this one fails to.
  const leftovers = removeLeftovers(deps, signal).catch(() => undefined);
  await writeFile(file, "", { mode: 0o600 });
  try {
    await engine.importImage(image, Readable.from([NO_FILES]), signal);
    await look(deps, { id, file: `${MOUNTED_AT}/${PREFIX}${id}`, image: image.reference }, signal);
  } finally {
    await Promise.allSettled([leftovers, rm(file, { force: true }), clear(engine, id, timeoutMs)]);
  }
}

async function look(
  { engine, dataFolder }: SharedFolderDeps,
  { id, file, image }: { readonly id: string; readonly file: string; readonly image: string },
  signal: AbortSignal,
): Promise<void> {
  let container: string;
  try {
    container = await engine.createContainer(checkSpec({ id, image, dataFolder }), signal);
  } catch (error) {
    // The engine checks the source of a mount when it makes the container; it can refuse nothing else here.
    if (isFault(error, "engine_refused")) throw unseen(dataFolder, "sees no such folder", error);
    throw error;
  }
  try {
    (await engine.getArchive(container, file, signal)).destroy();
  } catch (error) {
    if (isFault(error, "not_found")) throw unseen(dataFolder, "sees another folder under that path", error);
    throw error;
  }
}

function unseen(dataFolder: string, what: string, cause: unknown): Fault {
  return new Fault(
    "config_invalid",
    `BERTH_DATA is ${dataFolder}, but the Docker Engine ${what}. It mounts parts of that folder into plugins' ` +
      "containers, so Berth and the Engine must see the same folder under the same path: if Berth runs in a " +
      "container, mount the host's folder there under the path it has on the host, and set BERTH_DATA to that path.",
    {
      details: {
        field: "BERTH_DATA",
        value: dataFolder,
        accepted: "a folder at the same path for the Engine",
      },
      cause,
    },
  );
}

function checkSpec({
  id,
  image,
  dataFolder,
}: {
  id: string;
  image: string;
  dataFolder: string;
}): ContainerSpec {
  return {
    name: `berth-check-${id}`,
    image,
    labels: { [LABEL]: id },
    command: ["/never-started"],
    env: {},
    workingDir: "/",
    user: "65534:65534",
    resources: {
      memoryBytes: 16 << 20,
      cpuMillis: 100,
      pidsMax: 8,
      openFilesMax: 64,
      shmBytes: 1 << 20,
      cgroupParent: undefined,
    },
    mounts: [{ hostPath: dataFolder, path: MOUNTED_AT, readOnly: true }],
    tmpfs: [],
    readOnlyRoot: false,
    network: "none",
    capabilities: [],
    log: { bytesMax: 1 << 20, files: 3 },
  };
}

/** By name and with its own signal: a create whose answer was lost has made a container too. */
async function clear(engine: Engine, id: string, timeoutMs: number): Promise<void> {
  const signal = AbortSignal.timeout(timeoutMs);
  await engine.removeContainer(`berth-check-${id}`, signal);
  await engine.removeImage(`berth-check:${id}`, signal);
}

async function removeLeftovers(
  { engine, dataFolder, leftoverAgeMs, timeoutMs }: SharedFolderDeps,
  signal: AbortSignal,
): Promise<void> {
  const oldest = Date.now() - leftoverAgeMs;
  const labels = { [LABEL]: "" };
  const [containers, images, names] = await Promise.all([
    engine.listContainers(labels, signal),
    engine.listImages(labels, signal),
    readdir(dataFolder),
  ]);
  const old = [...containers, ...images].filter(({ createdAt }) => createdAt.getTime() < oldest);
  for (const id of new Set(old.map((found) => found.labels[LABEL] ?? ""))) await clear(engine, id, timeoutMs);
  for (const name of names.filter((found) => found.startsWith(PREFIX))) {
    const found = await stat(join(dataFolder, name)).catch(() => undefined);
    if (found !== undefined && found.mtimeMs < oldest) await rm(join(dataFolder, name), { force: true });
  }
}
