import type { RuntimeRecord } from "./runtime.ts";

/** Of the Runtimes that serve a Pool: how many have taken the place of another one. */
export type Replaced = "none" | "some" | "all";

/**
 * What has been replaced since then, by the newest Runtimes of the Pool, those that serve and those that did. One more
 * than there were has replaced none. Whoever asks later, after a crash, finds the same.
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
