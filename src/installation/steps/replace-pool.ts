import type { Limits } from "../../domain/limits.ts";
import { type Replaced, type RuntimeRecord, replacedSince } from "../../domain/runtime.ts";

import type { StepContext } from "./install.ts";
import { lastWords, type StartPoolDeps } from "./start-pool.ts";

const SAID: Readonly<Record<Replaced, string>> = {
  none: "what runs has the new limits",
  some: "what runs has the new limits, where it could not be given them by a new container",
  all: "the new container serves; the old one ends with its last call",
};

/**
 * As `PoolKeeper.replace`; answers which of the Containers are new, by when they started: whoever takes the task over
 * after a crash finds the same. What the plugin said last stands in the task's log where it did not start.
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
    for (const line of lastWords(error)) journal.log(line);
    throw error;
  }
  const replaced = limits === undefined ? "all" : replacedSince(runtimes, task.createdAt);
  journal.progress(SAID[replaced]);
  await journal.flush();
  signal.throwIfAborted();
  return { replaced };
}
