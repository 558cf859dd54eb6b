import type { ContainerMount, ContainerSpec } from "../../../domain/container.ts";
import { Fault, isFault } from "../../../domain/fault.ts";
import type { Engine } from "../../../engine/engine.ts";
import { systemClock } from "../../../util/clock.ts";
import type { BuildLimits } from "./settings.ts";

const EXIT_POLL_MS = 20;

export interface BuildContainer {
  /** Deterministic: the next worker finds and removes a container of this name that a killed one left. */
  readonly name: string;
  readonly image: string;
  readonly command: readonly string[];
  readonly network: string;
  readonly mounts: readonly ContainerMount[];
  readonly labels: Readonly<Record<string, string>>;
  /** `uid:gid`. */
  readonly user: string;
  /**
   * For a container that runs foreign code: its root is read-only, and it writes to memory alone, below this path and in
   * `/tmp`. What it writes there counts as its memory.
   */
  readonly workPath?: string;
}

/** Removals of containers whose work is done. They run beside the next step; disposing waits for them. */
export class Removals implements AsyncDisposable {
  readonly #running: Promise<void>[] = [];

  add(removal: Promise<void>): void {
    this.#running.push(removal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#running);
  }
}

export interface BuildContainerDeps {
  readonly engine: Engine;
  readonly limits: BuildLimits;
  /** How long the removal of the container may take. */
  readonly cleanupMs: number;
  readonly removals: Removals;
}

/**
 * Creates a build container and does the work with it. Before this rejects the container is removed: a cancelled build
 * is killed, and its name is free for the next one. After success `removals` removes it. A leftover of the same name is
 * removed first; the image's lease guarantees that nobody else uses it.
 */
export async function withBuildContainer<T>(
  { engine, limits, cleanupMs, removals }: BuildContainerDeps,
  container: BuildContainer,
  signal: AbortSignal,
  work: (id: string) => Promise<T>,
): Promise<T> {
  const id = await createAnew(engine, buildSpec(container, limits), signal);
  // With a signal of its own: the one that ended the work must not end the clean-up. If this fails, the next build finds
  // the container by its name, and a sweep by its labels.
  const remove = () => engine.removeContainer(id, AbortSignal.timeout(cleanupMs)).catch(() => undefined);
  try {
    const result = await work(id);
    removals.add(remove());
    return result;
  } catch (error) {
    await remove();
    throw error;
  }
}

async function createAnew(engine: Engine, spec: ContainerSpec, signal: AbortSignal): Promise<string> {
  try {
    return await engine.createContainer(spec, signal);
  } catch (error) {
    if (!isFault(error, "conflict")) throw error;
  }
  const leftover = await engine.findContainer(spec.name, signal);
  if (leftover !== undefined) await engine.removeContainer(leftover.id, signal);
  return await engine.createContainer(spec, signal);
}

function buildSpec({ workPath, ...container }: BuildContainer, limits: BuildLimits): ContainerSpec {
  const tmpfs = (path: string, bytes: number, exec: boolean) => ({
    path,
    bytes,
    inodes: Math.ceil(bytes / 4096),
    exec,
  });
  return {
    ...container,
    // No secrets here: a commit copies the environment of the container, and an inspect shows it.
    env: { PATH: "/usr/local/bin:/usr/bin:/bin", LC_ALL: "C.UTF-8", HOME: "/tmp" },
    workingDir: "/",
    // The one capability lets root read and write files of the user who runs Berth; other users get none.
    capabilities: container.user.startsWith("0:") ? ["DAC_OVERRIDE"] : [],
    resources: {
      memoryBytes: limits.memoryBytes,
      cpuMillis: limits.cpuMillis,
      pidsMax: limits.pidsMax,
      openFilesMax: limits.openFilesMax,
      shmBytes: 64 * 1024 * 1024,
      cgroupParent: undefined,
    },
    tmpfs: [
      tmpfs("/tmp", limits.tmpBytes, false),
      ...(workPath === undefined ? [] : [tmpfs(workPath, limits.diskBytes, true)]),
    ],
    readOnlyRoot: workPath !== undefined,
    log: { bytesMax: 1024 * 1024, files: 2 },
  };
}

/**
 * Starts the container and resolves with the exit code of its command; its output goes to `onLine`. Throws
 * `build_out_of_memory` where the kernel killed a process in it for memory, whatever the exit code.
 */
export async function runToEnd(
  engine: Engine,
  id: string,
  onLine: (text: string) => void,
  signal: AbortSignal,
): Promise<number> {
  await engine.startContainer(id, signal);
  for await (const { text } of engine.logs(id, { follow: true }, signal)) onLine(text);
  return await exitOf(engine, id, signal);
}

/**
 * Resolves with the exit code of a container that is ending: the engine knows it a moment after the end of the log or
 * after a kill. Throws `build_out_of_memory` where memory was the cause, which the engine says only then, also for a
 * process beside the main one.
 */
export async function exitOf(engine: Engine, id: string, signal: AbortSignal): Promise<number> {
  for (;;) {
    const state = await engine.findContainer(id, signal);
    if (state === undefined) throw new Fault("engine_unavailable", "The build container disappeared.");
    if (state.phase === "exited" || state.phase === "dead") {
      if (state.oomKilled) throw outOfMemory();
      return state.exitCode ?? 255;
    }
    await systemClock.sleep(EXIT_POLL_MS, signal);
  }
}

function outOfMemory(): Fault {
  return new Fault("build_out_of_memory", "The build exceeded the memory limit of builds.");
}
