import type { Limits } from "../../domain/limits.ts";
import type { StepContext } from "../install-steps.ts";
import { lastWords, type StartPoolDeps } from "../start-pool.ts";

/** As `PoolKeeper.replace`; what the plugin said last stands in the task's log where it did not start. */
export async function replacePool(
  { keeper }: Pick<StartPoolDeps, "keeper">,
  { journal }: Pick<StepContext, "journal">,
  { poolKey, limits }: { readonly poolKey: string; readonly limits?: Limits },
  signal: AbortSignal,
): Promise<void> {
  try {
    await keeper.replace(poolKey, limits === undefined ? {} : { limits }, signal);
  } catch (error) {
    for (const line of lastWords(error)) journal.log(line);
    throw error;
  }
  journal.progress("the new container serves; the old one ends with its last call");
  await journal.flush();
  signal.throwIfAborted();
}
