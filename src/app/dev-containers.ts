import { randomBytes } from "node:crypto";
import { readFile, realpath, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Config } from "../config.ts";
import { Fault } from "../domain/fault.ts";
import type { LimitsPolicy } from "../domain/limits.ts";
import { startPluginNetwork } from "../egress/plugin-network.ts";
import type { Engine, EngineInfo } from "../engine/engine.ts";
import { formatLabelFilter } from "../engine/labels.ts";
import type { BuildSettings } from "../installation/images/build/settings.ts";
import type { Log } from "../observe/log.ts";
import { cgroupParentFor } from "../runtime/launch/cgroup.ts";
import { createRuntimeFolders, type RuntimeFolders } from "../runtime/launch/runtime-folders.ts";
import { listRuntimeImages } from "../runtime/launch/runtime-image.ts";
import type { ProfileSettings } from "../runtime/settings.ts";
import { prepareDataFolder } from "../store/data-folder.ts";
import { lockDataFolder } from "../store/data-folder-lock.ts";
import { Scope } from "../util/scope.ts";
import { openCaBundle } from "./base.ts";
import { buildSettings, profileSettings } from "./settings.ts";
import { networkDeps, openEngine } from "./worker.ts";

/** What the containers of `berth dev` are made with: the same as those of installed plugins. */
export interface DevContainers extends AsyncDisposable {
  readonly engine: Engine;
  readonly info: EngineInfo;
  readonly instanceId: string;
  /** Real path. */
  readonly dataFolder: string;
  readonly folders: RuntimeFolders;
  readonly profile: ProfileSettings;
  readonly build: BuildSettings;
  readonly limits: LimitsPolicy;
}

const RUNNER_FILE = join(import.meta.dirname, "../../runtime-images/python/runner.py");
const INSTANCE_FILE = "instance";
const REMOVE_MS_MAX = 30_000;

/**
 * Opens the engine that the configuration names, with a network of its own that has the rules of plugins' networks. What
 * a killed command of the same data folder left is removed first; the network goes with the disposal, after the
 * containers, which the caller removes. Throws `data_folder_locked` where another command has the folder, what opening
 * the engine throws, and `python_not_available` where it has no runtime image.
 */
export async function openDevContainers({
  config,
  log,
  signal,
}: {
  readonly config: Config;
  readonly log: Log;
  readonly signal: AbortSignal;
}): Promise<DevContainers> {
  await prepareDataFolder(config.dataFolder);
  const scope = new Scope();
  try {
    scope.use(await lockDataFolder(config.dataFolder));
    const dataFolder = await realpath(config.dataFolder);
    const { engine, info } = await openEngine({ config, log, scope, starting: signal });
    if ((await listRuntimeImages(engine, signal)).length === 0) throw imageMissing();
    const instanceId = await instanceOf(dataFolder);
    await removeLeftovers(engine, { instanceId, dataFolder }, signal);
    const caBundle = await openCaBundle(config, log);
    const network = scope.use(
      await startPluginNetwork({
        ...networkDeps(config, { engine, log }),
        instanceId,
        dataFolder,
        store: { pools: { list: async () => [] }, egress: { list: async () => new Map() } },
        holder: instanceId,
      }),
    );
    scope.add(() => network.remove(AbortSignal.timeout(REMOVE_MS_MAX)));
    return {
      engine: network.engine,
      info,
      instanceId,
      dataFolder,
      folders: createRuntimeFolders({ dataFolder, runnerFile: RUNNER_FILE, caBundle }),
      profile: {
        ...profileSettings(config, caBundle),
        ...network.profile,
        cgroupParent: cgroupParentFor(info),
      },
      build: buildSettings(config, { network: network.buildNetwork, caBundle }),
      limits: config.limits,
      [Symbol.asyncDispose]: () => scope.close(),
    };
  } catch (error) {
    await scope.close();
    throw error;
  }
}

/** Random, so that two machines with one engine have two; kept, so that a later command finds what this one left. */
async function instanceOf(dataFolder: string): Promise<string> {
  const path = join(dataFolder, INSTANCE_FILE);
  const kept = await readFile(path, "utf8").catch(() => "");
  if (/^[0-9a-z]{8}$/.test(kept)) return kept;
  // Eight characters, like any instance id: names of bridges and tables have no room for more.
  const made = `dv${randomBytes(3).toString("hex")}`;
  await writeFile(path, made);
  return made;
}

/** The network of a killed command and its guard are used again. */
async function removeLeftovers(
  engine: Engine,
  { instanceId, dataFolder }: Pick<DevContainers, "instanceId" | "dataFolder">,
  signal: AbortSignal,
): Promise<void> {
  for (const kind of ["dev", "build"] as const)
    for (const { id } of await engine.listContainers(
      formatLabelFilter({ instance: instanceId, kind }),
      signal,
    ))
      await engine.removeContainer(id, signal);
  await rm(join(dataFolder, "run"), { recursive: true, force: true });
}

function imageMissing(): Fault {
  return new Fault(
    "python_not_available",
    "The Docker Engine has no runtime image. Build it with runtime-images/python/build, or run without --container.",
  );
}
