import type { Queue } from "../../queue/queue.ts";

/** Topics of announcements about runtimes. A message is the key of the pool whose rows to read, except for `exited`. */
export const TOPICS = {
  /** Rows of the pool or of its runtimes changed. */
  changed: "runtimes",
  /** The pool's keeper is to read its rows: a start or a retirement was requested. */
  asked: "pools.asked",
  /** The pool had calls lately. */
  used: "pools.used",
  /** How a container ended, as the engine knows it (`formatExit`): the open calls of all processes fail with this cause. */
  exited: "runtimes.exited",
} as const;

export type Announcer = Pick<Queue, "publish" | "subscribe">;

/** Best effort: every process also polls the rows, so a queue that is away only costs time. Never throws. */
export function announce(
  queue: Announcer,
  topic: (typeof TOPICS)[keyof typeof TOPICS],
  message: string,
): void {
  queue.publish(topic, message).catch(() => undefined);
}
