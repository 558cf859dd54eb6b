import type { Limits } from "../../domain/limits.ts";
import { type Replaced, type RuntimeRecord, replacedSince } from "../../domain/runtime.ts";
import type { StepContext } from "./install.ts";
import { lastOutput, type StartPoolDeps } from "./start-pool.ts";

const MESSAGES: Readonly<Record<Replaced, string>> = {
  none: "the running containers have the new limits",
  some: "the new limits apply; new containers replace those that could not take them",
  all: "the new container serves; the old one ends with its last call",
};

/**
 * Calls `PoolKeeper.replace` and answers which of the containers are new, by their start time: a worker that takes the
 * task over finds the same. Where the plugin did not start, its last output is added to the task's log.
 */
export async function replacePool(
  { keeper }: Pick<StartPoolDeps, "keeper">,
  { journal, task }: Pick<StepContext, "journal" | "task">,
  { poolKey, limits }: { readonly poolKey: string; readonly limits?: Limits },
  signal: AbortSignal,
): Promise<{ readonly replaced: Replaced }> {
  let runtimes: readonly RuntimeRecord[];
  try {
    runtimes = await keeper.replace(poolKey, limits === undefined ? {} : { limits }, signal);
  } catch (error) {
    for (const line of lastOutput(error)) journal.log(line);
    throw error;
  }
  const replaced = limits === undefined ? "all" : replacedSince(runtimes, task.createdAt);
  journal.progress(MESSAGES[replaced]);
  await journal.flush();
  signal.throwIfAborted();
  return { replaced };
}
