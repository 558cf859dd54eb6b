import type { RuntimeRecord } from "./runtime.ts";

/** How many of the runtimes that serve a pool have replaced an earlier one. */
export type Replaced = "none" | "some" | "all";

/**
 * How many serving runtimes have replaced an earlier one since then. An additional runtime replaces none. The answer
 * depends on rows only, so it is the same after a crash.
 */
export function replacedSince(runtimes: readonly RuntimeRecord[], since: Date): Replaced {
  const serving = runtimes.filter(({ state }) => state === "ready");
  const isNew = ({ startedAt }: RuntimeRecord) => startedAt >= since;
  if (serving.every(isNew)) return "all";
  return serving.some((one) => isNew(one) && hasReplaced(one, runtimes)) ? "some" : "none";
}

function hasReplaced({ slot, generation }: RuntimeRecord, runtimes: readonly RuntimeRecord[]): boolean {
  const [before] = runtimes
    .filter((other) => other.slot === slot && other.generation < generation)
    .sort((a, b) => b.generation - a.generation);
  return before !== undefined && before.end?.reason !== "scaled_in";
}
