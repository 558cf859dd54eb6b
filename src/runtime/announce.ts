import { isFault } from "../domain/fault.ts";
import type { Queue } from "../queue/queue.ts";

/** What processes tell each other of Runtimes. Each message is a Pool's key: "look at its rows". */
export const TOPICS = {
  /** Rows of the Pool or of its Runtimes changed. */
  changed: "runtimes",
  /** Somebody wants the Pool to be looked at by its keeper: a start, a retirement. */
  asked: "pools.asked",
  /** The Pool was called lately. */
  used: "pools.used",
} as const;

export type Announcer = Pick<Queue, "publish" | "subscribe">;

/** Best effort: everybody polls the rows as well, so a queue that is away costs time and nothing else. */
export async function announce(
  queue: Announcer,
  topic: (typeof TOPICS)[keyof typeof TOPICS],
  poolKey: string,
): Promise<void> {
  try {
    await queue.publish(topic, poolKey);
  } catch (error) {
    if (!isFault(error)) throw error;
  }
}
