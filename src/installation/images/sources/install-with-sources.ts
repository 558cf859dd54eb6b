/**
 * Installs the dependencies; what has no fitting wheel is built from source first. Without such a requirement this is one
 * run of the installer and nothing else.
 */
import { chmod, copyFile, mkdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { Fault } from "../../../domain/fault.ts";
import { sha256, sha256OfFile } from "../../../util/sha256.ts";
import type { BuildContainerDeps } from "../build/build-container.ts";
import type { CountedEnd } from "../build/counted-run.ts";
import type { BuildSettings } from "../build/settings.ts";
import { uvFailure } from "../build/uv-failure.ts";
import { EXIT_ADDRESS, lockLinesScript, resolveScript, uvScript } from "../build/uv-script.ts";
import { BUILDER_VERSION } from "../image-keys.ts";
import { isSource, parseAddress, withTarget } from "../requirements/address.ts";
import type { Dependencies } from "../requirements/choose-dependencies.ts";
import type { Requirement } from "../requirements/dependency-files.ts";
import { CONSTRAINTS_FILE, inputUrl, WANTED_FILE } from "../requirements/input-files.ts";
import { normalise } from "../requirements/project-file.ts";
import { logicalLines, refuseVariables } from "../requirements/requirements-file.ts";
import { buildWheel } from "./build-wheel.ts";
import { createBuiltWheels } from "./built-wheels.ts";
import { fetchSource, indexScript } from "./fetch-source.ts";
import { findBuildImage } from "./find-build-image.ts";
import { parsePin, type Source, sourceAt } from "./source.ts";
import { SOURCES_PATH, WHEELS_FOLDER } from "./source-places.ts";

export interface InstallDeps extends Omit<BuildContainerDeps, "limits"> {
  readonly settings: BuildSettings;
  /** Runs a script in the container that fetches. */
  readonly run: (script: string) => Promise<CountedEnd>;
  /** Puts files where that container's installer reads its input. */
  readonly put: (files: Dependencies["files"]) => Promise<void>;
}

export interface InstallRequest {
  /** Name of the container that fetches; those that build are named after it. */
  readonly name: string;
  readonly runtimeImage: string;
  readonly dependencies: Dependencies;
  /** Folder on the host for sources and the wheels that are built of them. */
  readonly sourceFolder: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly onLog: (text: string) => void;
  readonly onProgress: (message: string) => void;
}

/** Sources of one package; each takes seconds to minutes, so a package with more would not end in time anyway. */
const SOURCES_MAX = 30;

/**
 * Resolves with the requirements that were built from source, as their lines or versions say. Throws what `uvFailure`
 * names, and what fetching and building a source throws.
 */
export async function installWithSources(
  deps: InstallDeps,
  request: InstallRequest,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { settings } = deps;
  const { dependencies } = request;
  const isAllowed = settings.sourceBuilds === "allow";
  const hasSources = dependencies.requirements.some(({ text }) => sourceIn(text) !== undefined);
  if (!isAllowed || !hasSources) {
    const end = await deps.run(uvScript(dependencies, settings.limits));
    if (end.exitCode === 0) return [];
    const isMissing = end.exitCode === EXIT_ADDRESS || namesWithoutWheel(end.output).length > 0;
    if (!isAllowed || !isMissing) fail(deps, dependencies, end);
  }
  const install = new SourceInstall(deps, request, signal);
  await install.run();
  return install.built;
}

class SourceInstall {
  readonly #deps: InstallDeps;
  readonly #request: InstallRequest;
  readonly #signal: AbortSignal;
  readonly #stubbed = new Set<string>();
  readonly #options: readonly string[];
  /** Labels of the sources. */
  readonly built: string[] = [];
  #lines: readonly Requirement[] = [];
  /** Looked up for the first source, so that one build makes all its wheels in the same image. */
  #buildImage: Promise<string | undefined> | undefined;

  constructor(deps: InstallDeps, request: InstallRequest, signal: AbortSignal) {
    this.#deps = deps;
    this.#request = request;
    this.#signal = signal;
    const { kind, options } = request.dependencies;
    this.#options = [
      `--find-links=${SOURCES_PATH}/${WHEELS_FOLDER}`,
      ...(kind === "lock" ? ["--no-deps"] : options),
    ];
  }

  async run(): Promise<void> {
    await mkdir(join(this.#request.sourceFolder, WHEELS_FOLDER), { recursive: true });
    this.#lines = await this.#wanted();
    const lines: Requirement[] = [];
    for (const line of this.#lines) lines.push(await this.#withBuiltAddress(line));
    this.#lines = lines;
    for (;;) {
      const end = await this.#install();
      if (end.exitCode === 0) return;
      const names = namesWithoutWheel(end.output).filter((name) => !this.#stubbed.has(name));
      if (names.length === 0 || this.built.length >= SOURCES_MAX) this.#fail(end);
      for (const name of names) await this.#provide(name);
    }
  }

  async #wanted(): Promise<readonly Requirement[]> {
    const { kind, requirements, options } = this.#request.dependencies;
    if (kind !== "lock") return requirements;
    const end = await this.#deps.run(lockLinesScript(options));
    if (end.exitCode !== 0) this.#fail(end);
    const text = end.answers.join("\n");
    const lines = [...logicalLines(text)].map((line) => ({
      text: line.text.replace(/^-e\s+/, "").replace(/^\.\//, inputUrl("")),
      origin: { file: "uv.lock", line: undefined },
    }));
    for (const line of lines) refuseVariables(line);
    return lines;
  }

  async #install(): Promise<CountedEnd> {
    const files = await this.#putLines();
    return await this.#deps.run(
      uvScript({ kind: "requirements", files, options: this.#options }, this.#deps.settings.limits),
    );
  }

  async #putLines(): Promise<Dependencies["files"]> {
    const content = Buffer.from(this.#lines.map(({ text }) => `${text}\n`).join(""));
    await this.#deps.put([{ name: WANTED_FILE, content }]);
    const constraints = this.#request.dependencies.files.filter(({ name }) => name === CONSTRAINTS_FILE);
    return [{ name: WANTED_FILE, content }, ...constraints];
  }

  async #withBuiltAddress(line: Requirement): Promise<Requirement> {
    const address = sourceIn(line.text);
    if (address === undefined) return line;
    const { path, sha } = await this.#build(sourceAt(address, line.text, line.origin));
    // Hashes are those of the source, which was compared with them.
    const hash = address.rest.includes("--hash") ? ` --hash=sha256:${sha}` : "";
    const rest = `${address.rest.replace(/\s*--hash\S*(?:\s+sha256:\S+)?/g, "")}${hash}`;
    return { ...line, text: withTarget({ ...address, rest }, `file://${path}`) };
  }

  /** Makes a wheel for a package that the index has only as a source, of the version that the requirements lead to. */
  async #provide(name: string): Promise<void> {
    const pinned = this.#lines.find(({ text }) => normalise(parsePin(text)?.name ?? "") === name);
    const pin = pinned === undefined ? undefined : parsePin(pinned.text);
    this.#stubbed.add(name);
    if (pin === undefined) {
      for (const [chosen, version] of await this.#choose(name)) await this.#buildVersion(chosen, version);
      return;
    }
    const { path, sha } = await this.#buildVersion(pin.name, pin.version, pin.hashes);
    if (pin.hashes.length === 0) return;
    const text = `${pin.name}${pin.extras} @ file://${path} ${pin.markers} --hash=sha256:${sha}`;
    this.#lines = this.#lines.map((line) => (line === pinned ? { ...line, text } : line));
  }

  /** The versions of packages without wheels, by name: the installer chooses them among wheels without content. */
  async #choose(first: string): Promise<ReadonlyMap<string, string>> {
    const names = new Set<string>();
    for (let more: readonly string[] = [first]; more.length > 0; ) {
      for (const name of more) {
        names.add(name);
        this.#stubbed.add(name);
        const end = await this.#deps.run(await indexScript(["stubs", name, stubsOf(name)]));
        if (end.exitCode !== 0) this.#fail(end);
      }
      const files = await this.#putLines();
      const folders = [...names].map(stubsOf);
      const end = await this.#deps.run(resolveScript({ files, options: this.#options }, folders));
      if (end.exitCode === 0) return versionsIn(end.answers, names);
      more = namesWithoutWheel(end.output).filter((name) => !names.has(name));
      if (more.length === 0) this.#fail(end);
    }
    return new Map();
  }

  async #buildVersion(name: string, version: string, hashes: readonly string[] = []) {
    const place = { kind: "index", name, version } as const;
    return await this.#build({ label: `${name}==${version}`, place, subdirectory: "", hashes });
  }

  /** Resolves with the wheel's path where the installer runs, and its SHA-256. */
  async #build(source: Source): Promise<{ path: string; sha: string }> {
    const { settings } = this.#deps;
    const { name, labels, runtimeImage, sourceFolder, onLog, onProgress } = this.#request;
    const number = this.built.push(source.label);
    onProgress(`building ${source.label} from source`);
    const folders = {
      source: join(sourceFolder, `${number}`, "source"),
      environment: join(sourceFolder, `${number}`, "environment"),
    };
    for (const folder of Object.values(folders)) {
      await mkdir(folder, { recursive: true });
      // The user of the build reads them, whatever the umask of Berth.
      await chmod(folder, 0o755);
    }
    this.#buildImage ??= findBuildImage(this.#deps.engine, runtimeImage, this.#signal);
    const buildImage = await this.#buildImage;
    const fetching = { number, source, labels, onLog, buildImage, containerName: `${name}-source-${number}` };
    const deps = { ...this.#deps, fail: (end: CountedEnd) => this.#fail(end) };
    const hash = await fetchSource(deps, { ...fetching, hostFolder: folders.source }, this.#signal);
    const key = sha256(
      [hash, source.subdirectory, runtimeImage, buildImage ?? "", BUILDER_VERSION].join("\n"),
    );
    const built = createBuiltWheels(settings.cacheFolder);
    let wheel = await built.find(key);
    if (wheel === undefined) {
      const file = join(sourceFolder, `${number}`, "wheel");
      const made = await buildWheel(
        deps,
        {
          ...fetching,
          runtimeImage,
          file,
          sourceFolder: folders.source,
          environmentFolder: folders.environment,
        },
        this.#signal,
      );
      wheel = await built.keep(key, file, made);
    }
    const copy = join(sourceFolder, WHEELS_FOLDER, basename(wheel));
    await copyFile(wheel, copy);
    return { path: `${SOURCES_PATH}/${WHEELS_FOLDER}/${basename(wheel)}`, sha: await sha256OfFile(copy) };
  }

  #fail(end: CountedEnd): never {
    return fail(this.#deps, { ...this.#request.dependencies, requirements: this.#lines }, end);
  }
}

function fail(
  { settings }: InstallDeps,
  { requirements, constraints }: Pick<Dependencies, "requirements" | "constraints">,
  end: CountedEnd,
): never {
  const fault = uvFailure(end, settings.limits, [...requirements, ...constraints]);
  if (fault.code !== "source_build_refused" || settings.sourceBuilds === "refuse") throw fault;
  const { value } = fault.details;
  const message = `${value} has no wheel that fits, and no source that can be built here; what builds a source must have a wheel.`;
  const details = { ...fault.details, accepted: "a requirement with a fitting wheel or a source" };
  throw new Fault("dependency_unresolvable", message, { details });
}

function sourceIn(text: string) {
  const address = parseAddress(text);
  return address !== undefined && isSource(address) ? address : undefined;
}

/** The packages that the installer says it would have to build. */
function namesWithoutWheel(output: string): string[] {
  const found = output
    .replace(/\s+/g, " ")
    .matchAll(
      /Wheels are required for `([^`]+)`|Because (?:all versions of )?([\w.-]+)\S* ha(?:s|ve) no usable wheels/g,
    );
  return [...new Set([...found].map(([, hinted, named]) => normalise(hinted ?? named ?? "")))];
}

function stubsOf(name: string): string {
  return `${SOURCES_PATH}/stubs/${name}`;
}

function versionsIn(lines: readonly string[], names: ReadonlySet<string>): ReadonlyMap<string, string> {
  return new Map(
    lines.flatMap((line) => {
      const pin = parsePin(line);
      return pin !== undefined && names.has(normalise(pin.name)) ? [[pin.name, pin.version] as const] : [];
    }),
  );
}
