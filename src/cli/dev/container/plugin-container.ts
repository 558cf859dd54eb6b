import { setTimeout as delay } from "node:timers/promises";
import type { ContainerSpec } from "../../../domain/container.ts";
import { isFault } from "../../../domain/fault.ts";
import type { Engine } from "../../../engine/engine.ts";
import type { PluginProcess } from "../plugin-process.ts";
import type { ControlSocket } from "./control-socket.ts";

export interface PluginContainerRequest {
  readonly engine: Engine;
  readonly spec: ContainerSpec;
  readonly control: ControlSocket;
  readonly onLine: (line: string) => void;
  /** Removes the container, whose processes have ended or end with it. */
  readonly remove: (id: string) => Promise<void>;
}

const EXIT_POLL_MS = 20;
const END_MS_MAX = 2_000;
const MIB = 1_048_576;

/**
 * Resolves when the container runs and waits for its start. Disposing it ends all its processes, and begins its removal.
 * Throws what the engine refused, and leaves no container then.
 */
export async function startPluginContainer(request: PluginContainerRequest): Promise<PluginProcess> {
  const { engine, spec, control, remove } = request;
  const stop = new AbortController();
  const id = await engine.createContainer(spec, stop.signal);
  try {
    await engine.startContainer(id, stop.signal);
  } catch (error) {
    await remove(id);
    throw error;
  }
  const ended = endOf(request, id, stop.signal);
  return {
    ended,
    start: () => control.start(),
    async [Symbol.asyncDispose]() {
      const isOver = await control.end(END_MS_MAX);
      stop.abort();
      const removal = remove(id);
      // Where the program has ended, so have all processes of the container, and the next one need not wait.
      if (!isOver) await removal;
      await ended;
    },
  };
}

async function endOf(
  { engine, spec, onLine }: PluginContainerRequest,
  id: string,
  signal: AbortSignal,
): Promise<string> {
  try {
    for await (const { text } of engine.logs(id, { follow: true }, signal)) onLine(text);
    for (;;) {
      const state = await engine.findContainer(id, signal);
      if (state === undefined) return "the removal of its container";
      if (state.phase === "exited" || state.phase === "dead")
        return `exit code ${state.exitCode ?? "unknown"}${state.oomKilled ? memoryOf(spec) : ""}`;
      await delay(EXIT_POLL_MS, undefined, { signal });
    }
  } catch (error) {
    if (signal.aborted) return "the end of the command";
    if (isFault(error)) return `the loss of its container (${error.message})`;
    throw error;
  }
}

function memoryOf({ resources }: ContainerSpec): string {
  return `, because it needed more than its ${Math.floor(resources.memoryBytes / MIB)} MB of memory`;
}
