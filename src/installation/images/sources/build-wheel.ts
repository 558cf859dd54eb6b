/** Runs the build backend of one source: foreign code, in a container of its own. */
import { closeSync, openSync, writeSync } from "node:fs";
import { Fault } from "../../../domain/fault.ts";
import { type BuildContainerDeps, exitOf, withBuildContainer } from "../build/build-container.ts";
import type { CountedEnd } from "../build/counted-run.ts";
import type { BuildSettings } from "../build/settings.ts";
import { quoted } from "../build/uv-script.ts";
import { BUILD_IMAGE_COMMAND } from "./find-build-image.ts";
import type { Source } from "./source.ts";
import { ENVIRONMENT_PATH, readScript, SOURCE_PATH, SOURCES_PATH, WORK_PATH } from "./source-places.ts";

export interface BuildWheelDeps extends Omit<BuildContainerDeps, "limits"> {
  readonly settings: BuildSettings;
  readonly run: (script: string) => Promise<CountedEnd>;
  readonly fail: (end: CountedEnd) => never;
}

export interface BuildWheel {
  readonly source: Source;
  readonly number: number;
  /** Folders on the host with the source, and for what its backend requires. */
  readonly sourceFolder: string;
  readonly environmentFolder: string;
  readonly containerName: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly runtimeImage: string;
  readonly buildImage: string | undefined;
  /** File on the host that receives the wheel. */
  readonly file: string;
  readonly onLog: (text: string) => void;
}

/** Nobody on the host or in images: what a build may do as this user is not even what a plugin may do. */
const FOREIGN_USER = "65534:65534";
const OUTPUT_KEPT = 16_000;
const ANSWER_BYTES_MAX = 65_536;

/**
 * Builds the wheel, and resolves with the name that the backend gives it. The container has
 * the limits of builds, no network and nothing of the index: what the backend requires is installed for it from outside. Throws
 * `build_failed` with the backend's output, `build_disk_full`, `build_out_of_memory`.
 */
export async function buildWheel(
  deps: BuildWheelDeps,
  request: BuildWheel,
  signal: AbortSignal,
): Promise<string> {
  const { settings, engine } = deps;
  const container = {
    name: request.containerName,
    image: request.buildImage ?? request.runtimeImage,
    command: ["/bin/sleep", "infinity"],
    // No code of a package has a network in a build.
    network: "none",
    user: FOREIGN_USER,
    labels: request.labels,
    mounts: [
      { hostPath: request.sourceFolder, path: SOURCE_PATH, readOnly: true },
      { hostPath: request.environmentFolder, path: ENVIRONMENT_PATH, readOnly: true },
    ],
    workPath: WORK_PATH,
  };
  return await withBuildContainer({ ...deps, limits: settings.limits }, container, signal, async (id) => {
    await engine.startContainer(id, signal);
    const script = await readScript("backend.py");
    const backend = (step: string, onAnswer: (chunk: Buffer) => void, until: AbortSignal) =>
      runBackend(deps, { id, step, script, request, onAnswer }, until);
    const ask = async (step: string): Promise<readonly string[]> => {
      const answer = new Collector(ANSWER_BYTES_MAX);
      await backend(step, answer.add, signal);
      return parseRequires(answer.text, request.source);
    };
    await installRequired(deps, request, await ask("unpack"));
    await installRequired(deps, request, await ask("requires"));
    using wheel = new WheelFile(request.file, settings.limits.diskBytes);
    await backend("wheel", wheel.add, AbortSignal.any([signal, wheel.signal]));
    return wheel.name(request.source);
  });
}

/** Into a folder, not an environment: the installer would start the environment's Python, and a `.pth` file is code. */
async function installRequired(
  { run, fail }: BuildWheelDeps,
  { number, source, onLog }: BuildWheel,
  requires: readonly string[],
): Promise<void> {
  if (requires.length === 0) return;
  onLog(`${source.label} is built with ${requires.join(", ")}`);
  const target = `${SOURCES_PATH}/${number}/environment`;
  const end = await run(
    `uv pip install --quiet --python /usr/local/bin/python3 --target ${target} --no-build --no-sources -- ${quoted(requires)} || exit`,
  );
  if (end.exitCode !== 0) fail(end);
}

interface BackendStep {
  readonly id: string;
  readonly step: string;
  readonly script: string;
  readonly request: BuildWheel;
  readonly onAnswer: (chunk: Buffer) => void;
}

async function runBackend(
  { engine, settings }: BuildWheelDeps,
  { id, step, script, request, onAnswer }: BackendStep,
  signal: AbortSignal,
): Promise<void> {
  let output = "";
  const onOutput = (chunk: Buffer, stream: "stdout" | "stderr") => {
    if (stream === "stdout") return onAnswer(chunk);
    output = `${output}${chunk.toString()}`.slice(-OUTPUT_KEPT);
    for (const line of chunk.toString().split("\n")) if (line.trim() !== "") request.onLog(line);
  };
  const spec = {
    command: ["/usr/local/bin/python3", "-c", script, step, request.source.subdirectory],
    env: {
      HOME: WORK_PATH,
      TMPDIR: WORK_PATH,
      PATH: `${ENVIRONMENT_PATH}/bin:/usr/local/bin:/usr/bin:/bin`,
      PYTHONPATH: ENVIRONMENT_PATH,
      PYTHONDONTWRITEBYTECODE: "1",
      LC_ALL: "C.UTF-8",
    },
    workingDir: WORK_PATH,
    user: FOREIGN_USER,
  };
  const { exitCode } = await engine.exec(id, spec, { onOutput }, signal);
  if (exitCode === 0) return;
  await engine.killContainer(id, signal);
  await exitOf(engine, id, signal);
  const { label } = request.source;
  const details = { field: "dependencies", value: label, exitCode, output: output.trim().slice(-2000) };
  if (/No space left on device/.test(output)) {
    const { diskBytes } = settings.limits;
    throw new Fault("build_disk_full", `The build of ${label} exceeded the disk limit of builds.`, {
      details: { ...details, diskBytes },
    });
  }
  const last = output.trim().split("\n").at(-1)?.slice(0, 300) ?? "";
  const hint =
    request.buildImage === undefined
      ? ` There is no build image, which has a compiler, headers and git; ${BUILD_IMAGE_COMMAND} makes it.`
      : "";
  throw new Fault("build_failed", `The build of ${label} from source failed: ${last}.${hint}`, { details });
}

/** Foreign code made the answer: anything but requirements by name is refused. */
function parseRequires(text: string, { label }: Source): readonly string[] {
  let said: unknown;
  try {
    said = JSON.parse(text);
  } catch {
    said = undefined;
  }
  const isRequirement = (item: unknown): item is string =>
    typeof item === "string" && /^[A-Za-z0-9][\w.-]*(?:\s*\[[\w.,\s-]*\])?[^@\n]*$/.test(item);
  if (Array.isArray(said) && said.every(isRequirement)) return said;
  throw new Fault(
    "build_failed",
    `The build backend of ${label} requires something else than packages by name.`,
    {
      details: {
        field: "dependencies",
        value: text.slice(0, 200),
        accepted: "requirements by name and version",
      },
    },
  );
}

class Collector {
  readonly #bytesMax: number;
  #text = "";

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  readonly add = (chunk: Buffer): void => {
    if (this.#text.length < this.#bytesMax) this.#text += chunk.toString();
  };

  get text(): string {
    return this.#text;
  }
}

const WHEEL_NAME = /^[A-Za-z0-9][\w.]*-[\w.!+]+(?:-\d[\w.]*)?-[\w.]+-[\w.]+-[\w.]+\.whl$/;
const NAME_BYTES_MAX = 300;

/** Receives one line with the wheel's name, then its bytes. */
class WheelFile implements Disposable {
  readonly #fd: number;
  readonly #bytesMax: number;
  readonly #tooLarge = new AbortController();
  #head = Buffer.alloc(0);
  #name: string | undefined;
  #bytes = 0;

  constructor(file: string, bytesMax: number) {
    this.#fd = openSync(file, "wx");
    this.#bytesMax = bytesMax;
  }

  get signal(): AbortSignal {
    return this.#tooLarge.signal;
  }

  readonly add = (chunk: Buffer): void => {
    if (this.#tooLarge.signal.aborted) return;
    let content = chunk;
    if (this.#name === undefined) {
      this.#head = Buffer.concat([this.#head, chunk]);
      const end = this.#head.indexOf("\n");
      if (end === -1 && this.#head.length < NAME_BYTES_MAX) return;
      this.#name = this.#head.subarray(0, Math.max(0, end)).toString();
      content = this.#head.subarray(end + 1);
    }
    this.#bytes += content.length;
    if (this.#bytes <= this.#bytesMax) return void writeSync(this.#fd, content);
    const limit = { details: { diskBytes: this.#bytesMax } };
    this.#tooLarge.abort(new Fault("build_disk_full", "A wheel exceeded the disk limit of builds.", limit));
  };

  name({ label, place }: Source): string {
    const name = this.#name ?? "";
    const isAsked =
      place.kind !== "index" ||
      name.split("-")[0]?.replace(/[_.]+/g, "-").toLowerCase() ===
        place.name.replace(/[-_.]+/g, "-").toLowerCase();
    if (WHEEL_NAME.test(name) && isAsked) return name;
    throw new Fault("build_failed", `The build of ${label} made no wheel of it.`, {
      details: {
        field: "dependencies",
        value: name.slice(0, 200),
        accepted: "a wheel with the source's name",
      },
    });
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }
}
