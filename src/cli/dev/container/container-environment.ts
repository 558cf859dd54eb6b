/** The environment of a plugin in a container: made as a build makes that of a package, into a folder of the host. */
import { chmod, mkdir, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join, relative } from "node:path";
import type { DevContainers } from "../../../app/dev-containers.ts";
import { Fault } from "../../../domain/fault.ts";
import { formatLabels } from "../../../engine/labels.ts";
import {
  type BuildContainerDeps,
  Removals,
  runToEnd,
  withBuildContainer,
} from "../../../installation/images/build/build-container.ts";
import { fetchWheels } from "../../../installation/images/build/fetch-wheels.ts";
import { compileScript } from "../../../installation/images/build/layers.ts";
import { REPAIR_SDK, readRepairModule } from "../../../installation/images/build/repair-sdk.ts";
import { VENV_PATH } from "../../../installation/images/build/uv-script.ts";
import { dependencyKey, indexSettingsHash } from "../../../installation/images/image-keys.ts";
import {
  chooseDependencies,
  type Dependencies,
} from "../../../installation/images/requirements/choose-dependencies.ts";
import type { DependencyFiles } from "../../../installation/images/requirements/dependency-files.ts";
import { isIgnored } from "../watch-folder.ts";

export interface EnvironmentRequest {
  readonly containers: DevContainers;
  /** Of the plugin. */
  readonly folder: string;
  /** Id of the runtime image. */
  readonly image: string;
  readonly say: (line: string) => void;
}

const CLEANUP_MS = 30_000;

/**
 * Resolves with the environment's folder, which is another one after a change of the requirements or the image; earlier
 * ones are removed. Throws what choosing and installing the dependencies of a package throws.
 */
export async function ensureContainerEnvironment(
  request: EnvironmentRequest,
  signal: AbortSignal,
): Promise<string> {
  const { containers, folder, image, say } = request;
  const dependencies = await chooseDependencies(await dependencyFiles(folder));
  const settingsHash = indexSettingsHash(containers.build.index);
  const base = { runtimeImageId: image, arch: containers.info.arch, settingsHash };
  const key = dependencyKey(base, dependencies).slice(0, 12);
  const root = join(containers.dataFolder, "environments");
  const path = join(root, key);
  if (await isThere(path)) return path;
  const began = performance.now();
  say("installing the requirements in a container");
  for (const warning of dependencies.warnings) say(`warning: ${warning}`);
  await rm(root, { recursive: true, force: true });
  const draft = join(root, "draft");
  await mkdir(draft, { recursive: true });
  // The plugin's user reads it, whatever the umask is.
  for (const made of [root, draft]) await chmod(made, 0o755);
  await install(request, { key, dependencies, draft }, signal);
  await rename(draft, path);
  say(`the environment is ready after ${((performance.now() - began) / 1000).toFixed(1)} s`);
  return path;
}

async function install(
  { containers, image, say }: EnvironmentRequest,
  made: { readonly key: string; readonly dependencies: Dependencies; readonly draft: string },
  signal: AbortSignal,
): Promise<void> {
  const { engine, build: settings, instanceId, dataFolder } = containers;
  await using removals = new Removals();
  const deps = { engine, limits: settings.limits, cleanupMs: CLEANUP_MS, removals };
  const common = {
    name: `berth-${instanceId}-build-${made.key}`,
    labels: formatLabels({ instance: instanceId, kind: "build" }),
  };
  await fetchWheels(
    { ...deps, settings, instanceId },
    {
      name: `${common.name}-wheels`,
      labels: common.labels,
      runtimeImage: image,
      dependencies: made.dependencies,
      folder: made.draft,
      sourceFolder: join(dataFolder, "sources"),
      onLog: () => undefined,
      onProgress: say,
    },
    signal,
  );
  const workers = Math.max(1, Math.ceil(settings.limits.cpuMillis / 1000));
  const script = `${REPAIR_SDK}\n${compileScript(`${VENV_PATH}/lib`, workers)}`;
  const container = {
    ...common,
    image,
    command: ["/bin/sh", "-c", script, "sh", await readRepairModule()],
    network: "none",
    user: settings.hostUser,
    mounts: [{ hostPath: made.draft, path: VENV_PATH, readOnly: false }],
  };
  await withBuildContainer(deps, container, signal, (id) => compile(deps, id, signal));
}

async function compile(
  { engine }: Pick<BuildContainerDeps, "engine">,
  id: string,
  signal: AbortSignal,
): Promise<void> {
  let output = "";
  const keep = (text: string) => {
    output = `${output}${text}\n`.slice(-2000);
  };
  const exitCode = await runToEnd(engine, id, keep, signal);
  if (exitCode === 0) return;
  throw new Fault(
    "build_failed",
    `Compiling the environment failed (exit code ${exitCode}):\n${output.trimEnd()}`,
  );
}

/** The plugin's files as a package would have them. */
async function dependencyFiles(folder: string): Promise<DependencyFiles> {
  return {
    paths: await filesBelow(folder, folder),
    read: (path) => readFile(join(folder, path)),
  };
}

async function filesBelow(root: string, folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const isEnvironment = entries.some(({ name }) => name === "pyvenv.cfg");
  if (isEnvironment) return [];
  const found = await Promise.all(
    entries.map(async (entry) => {
      const path = join(folder, entry.name);
      if (isIgnored(path, () => false)) return [];
      if (entry.isDirectory()) return await filesBelow(root, path);
      return entry.isFile() ? [relative(root, path)] : [];
    }),
  );
  return found.flat();
}

async function isThere(path: string): Promise<boolean> {
  return await stat(path).then(
    () => true,
    () => false,
  );
}
