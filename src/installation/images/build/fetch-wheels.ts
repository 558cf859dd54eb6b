import { mkdir, rm } from "node:fs/promises";
import type { Readable } from "node:stream";
import type { CaBundle } from "../../../runtime/launch/ca-bundle.ts";
import type { Dependencies } from "../requirements/choose-dependencies.ts";
import { INPUT_PATH } from "../requirements/input-files.ts";
import { type InstallRequest, installWithSources } from "../sources/install-with-sources.ts";
import { SOURCES_PATH } from "../sources/source-places.ts";
import { type BuildContainerDeps, exitOf, withBuildContainer } from "./build-container.ts";
import { runCounted } from "./counted-run.ts";
import { CA_BUNDLE_PATH, indexEnv } from "./index-env.ts";
import type { BuildSettings } from "./settings.ts";
import { tarOf } from "./tar.ts";
import { CACHE_PATH, UV_ENV, VENV_PATH } from "./uv-script.ts";
import { clearUnpacking } from "./wheel-cache.ts";

export interface FetchWheels extends InstallRequest {
  /** Folder on the host that becomes the environment; emptied first. */
  readonly folder: string;
}

export interface FetchWheelsDeps extends Omit<BuildContainerDeps, "limits"> {
  readonly settings: BuildSettings;
  readonly instanceId: string;
}

/**
 * Installs the dependencies into `folder`, in a container that runs `uv` and nothing else. It is the only one with a
 * network and the wheel cache, and it is never committed. Resolves with the requirements that were built from source.
 * Throws what `uvFailure` names, the Faults of the clocks, and `build_out_of_memory`.
 */
export async function fetchWheels(
  deps: FetchWheelsDeps,
  wheels: FetchWheels,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { engine, settings } = deps;
  const { index } = settings;
  await mkdir(settings.cacheFolder, { recursive: true });
  // A killed worker may have left some of it.
  await rm(wheels.sourceFolder, { recursive: true, force: true });
  await mkdir(wheels.sourceFolder, { recursive: true });
  const container = {
    name: wheels.name,
    image: wheels.runtimeImage,
    command: ["/bin/sleep", "infinity"],
    network: wheels.dependencies.kind === "none" ? "none" : settings.network,
    user: settings.hostUser,
    labels: wheels.labels,
    mounts: [
      { hostPath: settings.cacheFolder, path: CACHE_PATH, readOnly: false },
      { hostPath: wheels.folder, path: VENV_PATH, readOnly: false },
      { hostPath: wheels.sourceFolder, path: SOURCES_PATH, readOnly: false },
    ],
  };
  try {
    return await withBuildContainer({ ...deps, limits: settings.limits }, container, signal, async (id) => {
      await engine.putArchive(id, "/", inputTar(wheels.dependencies, index.caBundle), signal);
      await engine.startContainer(id, signal);
      const env = { ...UV_ENV, ...indexEnv(index) };
      const run = (script: string) => runCounted(deps, { id, script, env, onLog: wheels.onLog }, signal);
      const put = (files: Dependencies["files"]) =>
        engine.putArchive(id, "/", inputTar({ files }, undefined), signal);
      try {
        return await installWithSources({ ...deps, run, put }, wheels, signal);
      } catch (error) {
        await engine.killContainer(id, signal);
        await exitOf(engine, id, signal);
        throw error;
      }
    });
  } catch (error) {
    const { cacheFolder } = settings;
    await clearUnpacking({ ...deps, cacheFolder }, AbortSignal.timeout(deps.cleanupMs)).catch(
      () => undefined,
    );
    throw error;
  }
}

/** The files are sent, not mounted: the engine need not see the operator's file. */
function inputTar({ files }: Pick<Dependencies, "files">, caBundle: CaBundle | undefined): Readable {
  const ca = caBundle === undefined ? [] : [{ path: CA_BUNDLE_PATH, content: Buffer.from(caBundle.pem) }];
  return tarOf([
    { type: "folder", path: INPUT_PATH.slice(1) },
    ...[...files.map(({ name, content }) => ({ path: `${INPUT_PATH}/${name}`, content })), ...ca].map(
      ({ path, content }) => ({
        type: "file" as const,
        path: path.slice(1),
        bytes: content.length,
        content,
      }),
    ),
  ]);
}
