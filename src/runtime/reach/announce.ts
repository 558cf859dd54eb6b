import type { Queue } from "../../queue/queue.ts";

/** What processes tell each other of Runtimes. A message is a Pool's key, "look at its rows", but for `exited`. */
export const TOPICS = {
  /** Rows of the Pool or of its Runtimes changed. */
  changed: "runtimes",
  /** Somebody wants the Pool to be looked at by its keeper: a start, a retirement. */
  asked: "pools.asked",
  /** The Pool was called lately. */
  used: "pools.used",
  /** A Container died, and how, as only the Engine knows: `formatExit`. Who waits for its answers hears the cause. */
  exited: "runtimes.exited",
} as const;

export type Announcer = Pick<Queue, "publish" | "subscribe">;

/** Best effort: everybody polls the rows as well, so a queue that is away costs time and nothing else. */
export function announce(
  queue: Announcer,
  topic: (typeof TOPICS)[keyof typeof TOPICS],
  message: string,
): void {
  queue.publish(topic, message).catch(() => undefined);
}
