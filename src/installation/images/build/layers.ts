/** The two containers of a build that are committed as images. Neither has a network, the wheel cache or a secret. */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { Fault, isFault } from "../../../domain/fault.ts";
import type { Engine } from "../../../engine/engine.ts";
import { formatLabels } from "../../../engine/labels.ts";
import type { Dependencies } from "../requirements/choose-dependencies.ts";
import { sourcesLabel, sourcesLabelOf } from "../sources/source-policy.ts";
import { type Removals, runToEnd, withBuildContainer } from "./build-container.ts";
import { fetchWheels } from "./fetch-wheels.ts";
import { REPAIR_SDK, readRepairModule } from "./repair-sdk.ts";
import type { BuildSettings } from "./settings.ts";
import { type TarEntry, tarOf } from "./tar.ts";
import { VENV_PATH } from "./uv-script.ts";
import { wheelsContainerName } from "./wheel-cache.ts";

export interface LayerDeps {
  readonly engine: Engine;
  readonly settings: BuildSettings;
  readonly instanceId: string;
  /** How long the removal of a build container may take. */
  readonly cleanupMs: number;
  readonly removals: Removals;
}

export interface LayerRequest {
  readonly key: string;
  /** Image below the layer. */
  readonly base: string;
  readonly onLog: (text: string) => void;
  readonly onProgress: (message: string) => void;
}

/** Where the package's files are in its image. */
export const PLUGIN_PATH = "/plugin";
const WHEELS_PATH = "/wheels";

/**
 * Compiles byte code with the base interpreter, without site packages: no installed code runs. The byte code names no
 * source dates, so it stays valid whatever an engine does to them. Files that do not compile (templates, old syntax) are
 * skipped: exit code 1 means that there were some. Test suites (a seventh of what the SDK brings) are not compiled.
 */
export function compileScript(folder: string, workers: number): string {
  return `/usr/local/bin/python3 -I -S -m compileall -qq -j ${workers} --invalidation-mode unchecked-hash -x '/tests?/' ${folder} || [ $? -eq 1 ]`;
}

/** Builds `berth-<instance>/deps:<key16>`: the environment at `/opt/venv` with its byte code. */
export async function buildDependencyLayer(
  deps: LayerDeps,
  request: LayerRequest & { readonly dependencies: Dependencies },
  signal: AbortSignal,
): Promise<string> {
  const { settings } = deps;
  const buildFolder = join(settings.workFolder, request.key.slice(0, 12));
  const folder = join(buildFolder, "environment");
  await mkdir(folder, { recursive: true });
  try {
    const copy = `mkdir -p ${VENV_PATH} && cp -R --preserve=mode,links,timestamps ${WHEELS_PATH}/. ${VENV_PATH}/ || exit 74`;
    const script = [copy, REPAIR_SDK, compileScript(`${VENV_PATH}/lib`, workersOf(settings))].join("\n");
    const container = {
      ...committed(deps, request),
      command: ["/bin/sh", "-c", script, "sh", await readRepairModule()],
      mounts: [{ hostPath: folder, path: WHEELS_PATH, readOnly: true }],
    };
    return await withBuildContainer({ ...deps, limits: settings.limits }, container, signal, async (id) => {
      request.onProgress("installing the dependencies");
      const sources = await fetchWheels(
        deps,
        {
          name: wheelsContainerName(container.name),
          runtimeImage: request.base,
          dependencies: request.dependencies,
          folder,
          sourceFolder: join(buildFolder, "sources"),
          labels: container.labels,
          onLog: request.onLog,
          onProgress: request.onProgress,
        },
        signal,
      );
      request.onProgress("compiling byte code");
      await compile(deps, id, request, signal);
      const labels = sourcesLabel(sources);
      return await commit(deps, id, { ...request, repository: "deps", labels }, signal);
    });
  } finally {
    // A remaining folder does no harm: the next build of the same key empties it.
    await rm(buildFolder, { recursive: true, force: true }).catch(() => undefined);
  }
}

export interface PackageLayerRequest extends LayerRequest {
  readonly files: AsyncIterable<TarEntry>;
  /** The base has a package at `/plugin` already, which is replaced as a whole. */
  readonly isAnew?: true;
}

/** Builds `berth-<instance>/plugin:<key16>`: the package's files at `/plugin` on top of its dependencies. */
export async function buildPackageLayer(
  deps: LayerDeps,
  request: PackageLayerRequest,
  signal: AbortSignal,
): Promise<string> {
  const { settings, engine } = deps;
  const root = request.isAnew === true ? `${PLUGIN_PATH}.new` : PLUGIN_PATH;
  const place =
    request.isAnew === true ? `rm -rf ${PLUGIN_PATH} && mv ${root} ${PLUGIN_PATH} || exit 74\n` : "";
  const container = {
    ...committed(deps, request),
    command: ["/bin/sh", "-c", `${place}${compileScript(PLUGIN_PATH, 1)}`],
    mounts: [],
  };
  return await withBuildContainer({ ...deps, limits: settings.limits }, container, signal, async (id) => {
    request.onProgress("adding the files of the package");
    await engine.putArchive(id, "/", tarOf(below(root, request.files)), signal);
    await compile(deps, id, request, signal);
    const labels = await sourcesLabelOf(engine, request.base, signal);
    return await commit(deps, id, { ...request, repository: "plugin", labels }, signal);
  });
}

async function* below(path: string, entries: AsyncIterable<TarEntry>): AsyncGenerator<TarEntry> {
  const root = path.slice(1);
  yield { type: "folder", path: root };
  for await (const entry of entries) yield { ...entry, path: `${root}/${entry.path}` };
}

function committed({ instanceId }: LayerDeps, { key, base }: LayerRequest) {
  return {
    name: `berth-${instanceId}-build-${key.slice(0, 12)}`,
    image: base,
    network: "none",
    // Its files belong to root in the image, whoever runs Berth.
    user: "0:0",
    labels: formatLabels({ instance: instanceId, kind: "build", imageKey: key }),
  };
}

async function compile(
  deps: LayerDeps,
  id: string,
  { onLog }: LayerRequest,
  signal: AbortSignal,
): Promise<void> {
  let output = "";
  const keep = (text: string) => {
    output = `${output}${text}\n`.slice(-2000);
    onLog(text);
  };
  const exitCode = await runToEnd(deps.engine, id, keep, signal);
  if (exitCode === 0) return;
  if (/No space left on device/.test(output)) throw new Fault("disk_full", "The disk is full.");
  throw new Fault("build_failed", `Preparing the files of the image failed (exit code ${exitCode}).`, {
    details: { exitCode, output },
  });
}

interface Committed {
  readonly key: string;
  readonly repository: "deps" | "plugin";
  readonly labels: Readonly<Record<string, string>>;
}

async function commit(
  { engine, instanceId }: LayerDeps,
  id: string,
  { key, repository, labels }: Committed,
  signal: AbortSignal,
): Promise<string> {
  const reference = `berth-${instanceId}/${repository}:${key.slice(0, 16)}`;
  const spec = {
    reference,
    labels: { ...formatLabels({ instance: instanceId, kind: "image", imageKey: key }), ...labels },
    env: { PATH: `${VENV_PATH}/bin:/usr/local/bin:/usr/bin:/bin`, LANG: "C.UTF-8" },
    command: [`${VENV_PATH}/bin/python`],
    workingDir: PLUGIN_PATH,
    user: "65534:65534",
  };
  await engine.commit(id, spec, signal).catch((error: unknown) => {
    throw asDiskFull(error);
  });
  return reference;
}

/** The engine has no error code for it, only the message of the system. */
function asDiskFull(error: unknown): unknown {
  if (!isFault(error, "engine_refused") || !/no space left on device/i.test(error.message)) return error;
  return new Fault("disk_full", "The engine's disk is full.", { cause: error });
}

function workersOf({ limits }: BuildSettings): number {
  return Math.max(1, Math.ceil(limits.cpuMillis / 1000));
}
