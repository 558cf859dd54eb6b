import { mkdir } from "node:fs/promises";
import type { Readable } from "node:stream";
import type { Engine } from "../../../engine/engine.ts";
import type { CaBundle } from "../../../runtime/launch/ca-bundle.ts";
import type { Dependencies } from "../requirements/choose-dependencies.ts";
import { INPUT_PATH } from "../requirements/input-files.ts";
import { startProgressClock } from "./build-clock.ts";
import { type BuildContainerDeps, exitOf, withBuildContainer } from "./build-container.ts";
import { CA_BUNDLE_PATH, createRedactor, indexEnv } from "./index-env.ts";
import type { BuildSettings } from "./settings.ts";
import { tarOf } from "./tar.ts";
import { uvFailure } from "./uv-failure.ts";
import { CACHE_PATH, UV_ENV, uvScript, VENV_PATH } from "./uv-script.ts";
import { clearUnpacking } from "./wheel-cache.ts";

export interface FetchWheels {
  readonly name: string;
  readonly runtimeImage: string;
  readonly dependencies: Dependencies;
  /** Folder on the host that becomes the environment; emptied first. */
  readonly folder: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly onLog: (text: string) => void;
}

export interface FetchWheelsDeps extends Omit<BuildContainerDeps, "limits"> {
  readonly settings: BuildSettings;
  readonly instanceId: string;
}

/** Growth of the counter, in bytes, that is progress: a dead connection still sees a packet now and then. */
const PROGRESS_BYTES_MIN = 4096;
/** Characters of output that are kept to explain a failure. */
const OUTPUT_KEPT = 16_000;

/**
 * Installs the dependencies into `folder`, in a container that runs `uv` and nothing else. It is the only one with a
 * network and the wheel cache, and it is never committed. Throws what `uvFailure` names, the Faults of the clocks, and
 * `build_out_of_memory`.
 */
export async function fetchWheels(
  deps: FetchWheelsDeps,
  wheels: FetchWheels,
  signal: AbortSignal,
): Promise<void> {
  const { engine, settings } = deps;
  const { index } = settings;
  await mkdir(settings.cacheFolder, { recursive: true });
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
    ],
  };
  try {
    await withBuildContainer({ ...deps, limits: settings.limits }, container, signal, async (id) => {
      await engine.putArchive(id, "/", inputTar(wheels.dependencies, index.caBundle), signal);
      await engine.startContainer(id, signal);
      const { exitCode, output } = await runUv(deps, { id, wheels }, signal);
      if (exitCode === 0) return;
      await engine.killContainer(id, signal);
      await exitOf(engine, id, signal);
      throw uvFailure({ exitCode, output }, settings.limits, wheels.dependencies.requirements);
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
function inputTar({ files }: Dependencies, caBundle: CaBundle | undefined): Readable {
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

async function runUv(
  { engine, settings }: { engine: Engine; settings: BuildSettings },
  { id, wheels }: { id: string; wheels: FetchWheels },
  signal: AbortSignal,
): Promise<{ exitCode: number; output: string }> {
  using clock = startProgressClock(settings.limits);
  const redact = createRedactor(settings.index);
  const lines = new LineSplitter((line) => {
    wheels.onLog(redact(line));
  });
  let output = "";
  let counted = 0;
  let counter = "";
  const onOutput = (chunk: Buffer, stream: "stdout" | "stderr") => {
    const text = chunk.toString();
    if (stream === "stdout") {
      counter = `${counter}${text}`.slice(-64);
      const now = Number(/(\d+)\n\s*$/.exec(counter)?.[1] ?? 0);
      if (now - counted < PROGRESS_BYTES_MIN) return;
      counted = now;
    } else {
      output = `${output}${text}`.slice(-OUTPUT_KEPT);
      lines.write(text);
    }
    clock.heard();
  };
  const spec = {
    command: ["/bin/sh", "-c", uvScript(wheels.dependencies, settings.limits)],
    env: { ...UV_ENV, ...indexEnv(settings.index) },
    workingDir: "/",
    user: settings.hostUser,
  };
  const { exitCode } = await engine.exec(id, spec, { onOutput }, AbortSignal.any([signal, clock.signal]));
  lines.end();
  return { exitCode, output: redact(output) };
}

/** Splits output into whole lines: the redactor would miss a password that two chunks share. */
class LineSplitter {
  readonly #onLine: (line: string) => void;
  #rest = "";

  constructor(onLine: (line: string) => void) {
    this.#onLine = onLine;
  }

  write(text: string): void {
    const lines = `${this.#rest}${text}`.split("\n");
    this.#rest = (lines.pop() ?? "").slice(-OUTPUT_KEPT);
    for (const line of lines) this.#onLine(line);
  }

  end(): void {
    if (this.#rest !== "") this.#onLine(this.#rest);
    this.#rest = "";
  }
}
