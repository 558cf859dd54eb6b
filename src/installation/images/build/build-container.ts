import type { ContainerMount, ContainerSpec } from "../../../domain/container.ts";
import { Fault, isFault } from "../../../domain/fault.ts";
import type { Engine } from "../../../engine/engine.ts";
import { systemClock } from "../../../util/clock.ts";
import type { BuildLimits } from "./settings.ts";

const EXIT_POLL_MS = 20;

export interface BuildContainer {
  /** Deterministic: a worker that was killed leaves this name behind, and the next one clears it away. */
  readonly name: string;
  readonly image: string;
  readonly command: readonly string[];
  readonly network: string;
  readonly mounts: readonly ContainerMount[];
  readonly labels: Readonly<Record<string, string>>;
  /** `uid:gid`. */
  readonly user: string;
}

/** Removals of Containers whose work is done: they go on beside the next step, and disposing waits for them. */
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
  /** How long removing the Container may take. */
  readonly cleanupMs: number;
  readonly removals: Removals;
}

/**
 * Makes a build Container. It is removed before this rejects, for a cancelled build is a killed one and its name must
 * be free for whoever builds next; after work that succeeded its removal is left to `removals`. A leftover of the same
 * name is removed first; the image lease says that nobody else works with it.
 */
export async function withBuildContainer<T>(
  { engine, limits, cleanupMs, removals }: BuildContainerDeps,
  container: BuildContainer,
  signal: AbortSignal,
  work: (id: string) => Promise<T>,
): Promise<T> {
  const id = await createAnew(engine, buildSpec(container, limits), signal);
  // With a signal of its own: the one that ended the work must not end the clean-up. What fails here is found again
  // by its name at the next build, and by its labels in a sweep.
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

function buildSpec(container: BuildContainer, limits: BuildLimits): ContainerSpec {
  return {
    ...container,
    // No secrets here: a commit copies what the Container has, and an inspect shows it.
    env: { PATH: "/usr/local/bin:/usr/bin:/bin", LC_ALL: "C.UTF-8", HOME: "/tmp" },
    workingDir: "/",
    // Of root's rights only the one to read and write what belongs to whoever runs Berth; no other user is given any.
    capabilities: container.user.startsWith("0:") ? ["DAC_OVERRIDE"] : [],
    resources: {
      memoryBytes: limits.memoryBytes,
      cpuMillis: limits.cpuMillis,
      pidsMax: limits.pidsMax,
      openFilesMax: limits.openFilesMax,
      shmBytes: 64 * 1024 * 1024,
      cgroupParent: undefined,
    },
    tmpfs: [{ path: "/tmp", bytes: limits.tmpBytes, inodes: Math.ceil(limits.tmpBytes / 4096), exec: false }],
    readOnlyRoot: false,
    log: { bytesMax: 1024 * 1024, files: 2 },
  };
}

/**
 * Starts the Container and resolves with the exit code of its command; its output goes to `onLine`. Throws
 * `build_out_of_memory` where the kernel killed something in it, whatever its exit code says.
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
 * Resolves with the exit code of a Container that ends now, for the Engine has it a moment after the log's end or a
 * kill. Only then does the Engine say that memory was the cause, also for a process beside its main one; throws
 * `build_out_of_memory` where it does.
 */
export async function exitOf(engine: Engine, id: string, signal: AbortSignal): Promise<number> {
  for (;;) {
    const state = await engine.findContainer(id, signal);
    if (state === undefined) throw new Fault("engine_unavailable", "The build Container has gone.");
    if (state.phase === "exited" || state.phase === "dead") {
      if (state.oomKilled) throw outOfMemory();
      return state.exitCode ?? 255;
    }
    await systemClock.sleep(EXIT_POLL_MS, signal);
  }
}

function outOfMemory(): Fault {
  return new Fault("build_out_of_memory", "The build needed more memory than builds are given.");
}
