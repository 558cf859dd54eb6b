import type { Queue } from "../queue.ts";

/**
 * A queue inside one process that has no worker: messages reach its own subscribers, and no job is ever run. The rows of
 * jobs stay, and a Berth with a worker on the same database takes them up.
 */
export function openLocalQueue(): Queue {
  const listeners = new Map<string, Set<(message: string) => void>>();
  return {
    enqueue: async () => undefined,
    work: () => Promise.reject(new Error("a local queue has no worker")),
    onReconnect: () => undefined,
    ping: async () => undefined,
    publish: async (topic, message) => {
      for (const listener of listeners.get(topic) ?? []) listener(message);
    },
    subscribe: async (topic, listener) => {
      const own = listeners.get(topic) ?? new Set();
      listeners.set(topic, own.add(listener));
      return { [Symbol.asyncDispose]: async () => void own.delete(listener) };
    },
    [Symbol.asyncDispose]: async () => undefined,
  };
}
