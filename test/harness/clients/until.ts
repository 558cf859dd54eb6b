import { setTimeout } from "node:timers/promises";

/** Waits for a condition that the process under test brings about; fails after 30 s. */
export async function until(condition: () => boolean): Promise<void> {
  const giveUpAt = performance.now() + 30_000;
  while (!condition()) {
    if (performance.now() > giveUpAt) throw new Error("the condition did not come about in 30 s");
    await setTimeout(1);
  }
}
