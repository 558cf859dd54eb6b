/**
 * Chooses the dependencies of a package among its files. A package names requirements and versions; the operator chooses
 * where they come from.
 */

import { Fault } from "../../../domain/fault.ts";
import { SOURCES_REFUSED } from "../sources/source-policy.ts";
import { isPath, isWheel, parseAddress } from "./address.ts";
import {
  cut,
  type DependencyFiles,
  fileFault,
  formatOrigin,
  isFile,
  type Origin,
  placeOf,
  type Requirement,
  readText,
} from "./dependency-files.ts";
import { CONSTRAINTS_FILE, WANTED_FILE } from "./input-files.ts";
import { normalise, PROJECT_FILE, type Project, readProject } from "./project-file.ts";
import { RequirementLines } from "./requirements-file.ts";

export interface Dependencies {
  readonly kind: "lock" | "requirements" | "none";
  /** Files that the installer reads; with the options they determine the layer. */
  readonly files: readonly { readonly name: string; readonly content: Buffer }[];
  readonly options: readonly string[];
  /** The lines of the files; empty with a lock. */
  readonly requirements: readonly Requirement[];
  readonly constraints: readonly Requirement[];
  readonly warnings: readonly string[];
}

const REQUIREMENTS_FILE = "requirements.txt";
const LOCK_FILE = "uv.lock";
const PROJECT: Origin = { file: PROJECT_FILE, line: undefined };

const NONE: Dependencies = {
  kind: "none",
  files: [],
  options: [],
  requirements: [],
  constraints: [],
  warnings: [],
};

/**
 * A lock wins, then a `pyproject.toml` that names dependencies, then `requirements.txt`. A package may have none of them.
 * Throws `dependency_unresolvable` with the file, the line and what is accepted, and `source_build_refused`.
 */
export async function chooseDependencies(files: DependencyFiles): Promise<Dependencies> {
  const hasRequirements = isFile(files, REQUIREMENTS_FILE);
  if (!isFile(files, PROJECT_FILE)) return hasRequirements ? await fromRequirements(files) : NONE;
  const project = await readProject(files);
  if (isFile(files, LOCK_FILE)) return await fromLock(files, project);
  if (project.isDynamic) return await fromDynamic(files, project, hasRequirements);
  const lines = [...(project.dependencies ?? []), ...project.groupLines];
  if (lines.length > 0) return await fromProject(files, project, lines);
  if (hasRequirements) return await fromRequirements(files);
  if (project.hasProject || !project.hasPoetry) return NONE;
  const said = "Dependencies in [tool.poetry] are not read, and there is no requirements.txt.";
  throw fileFault(PROJECT, said, "[tool.poetry.dependencies]", "[project] with dependencies");
}

async function fromLock(files: DependencyFiles, project: Project): Promise<Dependencies> {
  if (!project.hasProject) {
    const said = "There is a uv.lock, and no [project] table that it belongs to.";
    throw fileFault(PROJECT, said, LOCK_FILE, "[project] with a name, a version and dependencies");
  }
  const lock = await readText(files, LOCK_FILE);
  const wheels = files.paths.filter((path) => path.endsWith(".whl") && lock.includes(path));
  return {
    ...NONE,
    kind: "lock",
    files: [
      { name: PROJECT_FILE, content: Buffer.from(project.withoutToolUv) },
      { name: LOCK_FILE, content: Buffer.from(lock) },
      ...(await readAll(files, wheels)),
    ],
    options: project.groups.map((name) => `--group=${name}`),
  };
}

/** Follows what `setuptools` does with `dynamic = ["dependencies"]`; other backends would have to run. */
async function fromDynamic(
  files: DependencyFiles,
  { dynamicFiles }: Project,
  hasRequirements: boolean,
): Promise<Dependencies> {
  const named = dynamicFiles.length === 0 && hasRequirements ? [REQUIREMENTS_FILE] : dynamicFiles;
  const missing = named.find((path) => !isFile(files, path));
  if (missing !== undefined) {
    const said = `The package has no file "${cut(missing)}", which [tool.setuptools.dynamic] names.`;
    throw fileFault(PROJECT, said, missing, "a file below the package's folder");
  }
  if (named.length === 0) {
    const said = "Its dependencies are dynamic: only its build backend knows them.";
    throw fileFault(PROJECT, said, "dynamic", "dependencies in [project], or a requirements.txt");
  }
  return await fromRequirements(files, named);
}

async function fromRequirements(
  files: DependencyFiles,
  paths: readonly string[] = [REQUIREMENTS_FILE],
): Promise<Dependencies> {
  const lines = new RequirementLines(files);
  for (const path of paths) await lines.addFile(path);
  return await fromLines(files, lines);
}

async function fromProject(
  files: DependencyFiles,
  project: Project,
  written: readonly string[],
): Promise<Dependencies> {
  const lines = new RequirementLines(files);
  for (const text of written) lines.add(withSource(text, project), PROJECT);
  for (const key of project.ignored) {
    lines.warnings.push(
      `${PROJECT_FILE}: ${key} of [tool.uv] is ignored; the operator chooses where wheels come from.`,
    );
  }
  lines.warnings.push(
    "The package has no uv.lock: its dependencies are resolved at each build of its image.",
  );
  return await fromLines(files, lines);
}

/** A requirement by name with the address that `[tool.uv.sources]` gives it. */
function withSource(requirement: string, { sources }: Project): string {
  const [, name = "", extras = "", rest = ""] =
    /^\s*([A-Za-z0-9][\w.-]*)\s*(\[[^\]]*\])?[^;@]*(;.*)?$/.exec(requirement) ?? [];
  const source = sources[normalise(name)];
  if (name === "" || source === undefined) return requirement;
  const target = source.path ?? source.url ?? gitAddress(source);
  if (target === undefined) return requirement;
  return `${name}${extras} @ ${target}${rest === "" ? "" : ` ${rest}`}`;
}

function gitAddress({ git, rev, tag, branch, subdirectory }: Project["sources"][string]): string | undefined {
  if (git === undefined) return undefined;
  const at = rev ?? tag ?? branch;
  const folder = subdirectory === undefined ? "" : `#subdirectory=${subdirectory}`;
  return `${git.startsWith("git+") ? "" : "git+"}${git}${at === undefined ? "" : `@${at}`}${folder}`;
}

async function fromLines(files: DependencyFiles, lines: RequirementLines): Promise<Dependencies> {
  const { requirements, constraints, warnings } = lines;
  if (requirements.length === 0) return { ...NONE, warnings };
  const made = [{ name: WANTED_FILE, content: asFile(requirements) }];
  if (constraints.length > 0) made.push({ name: CONSTRAINTS_FILE, content: asFile(constraints) });
  return {
    kind: "requirements",
    files: [...made, ...(await readAll(files, [...lines.needed].sort()))],
    options: [...lines.options],
    requirements,
    constraints,
    warnings,
  };
}

function asFile(lines: readonly Requirement[]): Buffer {
  return Buffer.from(lines.map(({ text }) => `${text}\n`).join(""));
}

async function readAll(files: DependencyFiles, paths: readonly string[]) {
  return await Promise.all(paths.map(async (name) => ({ name, content: await files.read(name) })));
}

/**
 * Throws where a requirement names an address outside the package, or a source in it, and the operator allows neither:
 * `source_build_refused` for sources.
 */
export function refuseAddress({ text, origin }: Requirement): void {
  const address = parseAddress(text);
  if (address === undefined || (isPath(address) && isWheel(address))) return;
  const accepted =
    "a requirement by name and version that the index has as a wheel, or BERTH_SOURCE_BUILDS=allow";
  const details = { ...placeOf(origin), value: cut(text), accepted };
  const where = formatOrigin(origin);
  if (isWheel(address)) {
    const message = `${where}: "${cut(text)}" names its own address; by ${SOURCES_REFUSED} wheels come from the index only.`;
    throw new Fault("dependency_unresolvable", message, { details });
  }
  const message = `${where}: "${cut(text)}" needs a build from source, which ${SOURCES_REFUSED} forbids.`;
  throw new Fault("source_build_refused", message, { details });
}
