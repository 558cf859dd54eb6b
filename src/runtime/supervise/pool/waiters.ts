import type { RuntimeRecord } from "../../../domain/runtime.ts";
import { waitOrAbort } from "../../../util/wait.ts";

interface Waiter {
  readonly onLog: (text: string) => void;
  readonly resolve: (record: RuntimeRecord) => void;
  readonly reject: (error: unknown) => void;
}

/** The installs, upgrades and manual restarts of this process that wait until a pool is ready. */
export class Waiters {
  readonly #waiting = new Set<Waiter>();

  get any(): boolean {
    return this.#waiting.size > 0;
  }

  /** Rejects with the signal's reason when it aborts. `onGone` is called when nobody else waits then. */
  async wait(
    { onLog, onGone }: { readonly onLog: (text: string) => void; readonly onGone: (reason: unknown) => void },
    signal: AbortSignal,
  ): Promise<RuntimeRecord> {
    signal.throwIfAborted();
    const { promise, resolve, reject } = Promise.withResolvers<RuntimeRecord>();
    const waiter = { onLog, resolve, reject };
    this.#waiting.add(waiter);
    try {
      return await waitOrAbort(promise, signal);
    } finally {
      // One that was answered is not in the set any more.
      const hasLeft = this.#waiting.delete(waiter);
      if (hasLeft && !this.any) onGone(signal.reason);
    }
  }

  writeLog(text: string): void {
    for (const waiter of this.#waiting) waiter.onLog(text);
  }

  resolveAll(record: RuntimeRecord): void {
    for (const waiter of this.#waiting) waiter.resolve(record);
    this.#waiting.clear();
  }

  rejectAll(error: unknown): void {
    for (const waiter of this.#waiting) waiter.reject(error);
    this.#waiting.clear();
  }
}
