/**
 * The Python of a plugin: `.venv` in its folder. One that its author made is used as it is; otherwise it is made there
 * from the requirements, and made anew when they change.
 */
import { execFile, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { parse as parseToml } from "smol-toml";
import { z } from "zod";
import type { Env } from "../../config/environment.ts";
import { Fault } from "../../domain/fault.ts";

export interface EnvironmentRequest {
  readonly env: Env;
  readonly folder: string;
  /** As `3.12`. */
  readonly python: string | undefined;
  readonly say: (line: string) => void;
  readonly signal: AbortSignal;
}

/** The files from which an environment is made. */
const REQUIREMENT_FILES = ["requirements.txt", "pyproject.toml", "uv.lock"];

/** In an environment that was made here: from what. */
const MARK = "berth-requirements";
const Project = z.object({ project: z.object({ dependencies: z.array(z.string()).default([]) }) });
const execute = promisify(execFile);

export interface PythonEnvironment {
  /** The path of the Python to run. */
  readonly python: string;
  /** Another one where the requirements have changed. */
  readonly requirements: string;
}

/** Throws `dependency_unresolvable` with the last lines of the tool that failed. */
export async function ensureEnvironment(request: EnvironmentRequest): Promise<PythonEnvironment> {
  const { folder, say } = request;
  const environment = join(folder, ".venv");
  const python = join(environment, "bin/python");
  const mark = join(environment, MARK);
  const requirements = await requirementsHash(folder);
  const isThere = await stat(python).then(
    () => true,
    () => false,
  );
  const made = await readFile(mark, "utf8").catch(() => undefined);
  if (isThere && (made === undefined || made === requirements)) return { python, requirements };
  const began = performance.now();
  const hasUv = (await outputOf("uv", ["--version"], request)) !== undefined;
  if (!isThere) {
    const source = await findPython(request);
    say(`making ${environment} with ${source}`);
    const command = hasUv ? ["uv", "venv", "--quiet", "--python", source] : [source, "-m", "venv"];
    await run([...command, environment], request);
  }
  // Without the hash: what follows may fail, and this is ours all the same.
  await writeFile(mark, "");
  say("installing the requirements");
  const listed = await requirementArguments(folder);
  if (listed.length > 0) await run([...installCommand(python, hasUv), ...listed], request);
  await writeFile(mark, requirements);
  say(`the environment is ready after ${((performance.now() - began) / 1000).toFixed(1)} s`);
  return { python, requirements };
}

/** pip compiles to byte code at once; uv leaves that to the first start, unless told. */
function installCommand(python: string, hasUv: boolean): readonly string[] {
  if (hasUv) return ["uv", "pip", "install", "--quiet", "--compile-bytecode", "--python", python];
  return [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
}

/** Changes where a file changes from which the environment is made. */
async function requirementsHash(folder: string): Promise<string> {
  const hash = createHash("sha256");
  for (const name of REQUIREMENT_FILES)
    hash.update(`${name}\n${(await readFile(join(folder, name), "utf8").catch(() => "")) ?? ""}\n`);
  return hash.digest("hex");
}

/** A `requirements.txt` counts, as in a package; else the dependencies in `pyproject.toml`. */
async function requirementArguments(folder: string): Promise<readonly string[]> {
  if ((await stat(join(folder, "requirements.txt")).catch(() => undefined)) !== undefined)
    return ["-r", "requirements.txt"];
  const text = await readFile(join(folder, "pyproject.toml"), "utf8").catch(() => undefined);
  if (text === undefined) return [];
  try {
    return Project.parse(parseToml(text)).project.dependencies;
  } catch (cause) {
    throw new Fault(
      "dependency_unresolvable",
      "pyproject.toml has no list of dependencies that can be read.",
      {
        cause,
      },
    );
  }
}

/** The version that the manifest asks for, or else whatever Python 3 there is, with a warning. */
async function findPython(request: EnvironmentRequest): Promise<string> {
  const { python, say } = request;
  const wanted = python === undefined ? undefined : `python${python}`;
  for (const program of [...(wanted === undefined ? [] : [wanted]), "python3"]) {
    const found = await outputOf(
      program,
      ["-c", "import sys; print('%d.%d' % sys.version_info[:2])"],
      request,
    );
    if (found === undefined) continue;
    if (python !== undefined && found !== python)
      say(`warning: the manifest asks for Python ${python}, and this is ${found}`);
    return program;
  }
  throw new Fault("python_not_available", "There is no python3 on the PATH; install Python 3.");
}

/** Undefined where there is no such program, or it fails. */
async function outputOf(
  program: string,
  args: readonly string[],
  { env }: EnvironmentRequest,
): Promise<string | undefined> {
  const done = await execute(program, [...args], { env }).catch(() => undefined);
  return done?.stdout.trim();
}

async function run(command: readonly string[], request: EnvironmentRequest): Promise<void> {
  const { folder, env, signal } = request;
  const [program = "", ...args] = command;
  const child = spawn(program, args, { cwd: folder, env, signal, stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.on("data", (chunk) => {
      output = (output + chunk).slice(-4000);
    });
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", resolve);
  });
  if (code !== 0)
    throw new Fault(
      "dependency_unresolvable",
      `${command.slice(0, 3).join(" ")} failed:\n${output.trimEnd()}`,
    );
}
