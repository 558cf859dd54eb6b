import type { FaultJson } from "../../../domain/fault.ts";
import { formatFault, toFault } from "../../../domain/fault.ts";
import type { Pool, RuntimeRecord } from "../../../domain/runtime.ts";
import type { Store } from "../../../store/store.ts";
import { type Announcer, announce, TOPICS } from "../../reach/announce.ts";
import { Waiters } from "./waiters.ts";

/**
 * Requests to start a pool whatever its state: those of this process wait here, those of other workers are in the pool's
 * row, and so are the answers to them.
 */
export class StartRequests {
  readonly #deps: { readonly store: Pick<Store, "pools">; readonly queue: Announcer };
  readonly #waiters = new Waiters();

  constructor(deps: { readonly store: Pick<Store, "pools">; readonly queue: Announcer }) {
    this.#deps = deps;
  }

  /** Resolves with the runtime that serves. `onGone` is called when the last one that waits in this process aborts. */
  wait(
    options: { readonly onLog: (text: string) => void; readonly onGone: (reason: unknown) => void },
    signal: AbortSignal,
  ): Promise<RuntimeRecord> {
    return this.#waiters.wait(options, signal);
  }

  /** Whether anybody waits for a start: in this process, or by the row. */
  arePending(pool: Pool | undefined): boolean {
    return this.#waiters.any || (pool !== undefined && isAsked(pool));
  }

  /** To the log of everybody who waits in this process. */
  writeLog(text: string): void {
    this.#waiters.writeLog(text);
  }

  /** Answers all requests that the row had when it was read: this runtime serves. */
  async succeed(pool: Pool, { id }: RuntimeRecord, find: Store["runtimes"]["find"]): Promise<void> {
    if (this.#waiters.any) {
      const found = await find(id);
      if (found !== undefined) this.#waiters.resolveAll(found);
    }
    await this.#answer(pool, undefined);
  }

  /** As `succeed`, with the failure. */
  async fail(pool: Pool | undefined, error: unknown): Promise<void> {
    this.#waiters.rejectAll(error);
    if (pool !== undefined) await this.#answer(pool, formatFault(toFault(error)));
  }

  /** For a process that gives up the pool: requests in the row wait for the next keeper. */
  rejectAll(error: unknown): void {
    this.#waiters.rejectAll(error);
  }

  async #answer(pool: Pool, fault: FaultJson | undefined): Promise<void> {
    if (!isAsked(pool)) return;
    await this.#deps.store.pools.answerStart(pool.key, pool.startAsked, fault);
    await announce(this.#deps.queue, TOPICS.changed, pool.key);
  }
}

export function isAsked({ startAsked, startAnswered }: Pool): boolean {
  return startAsked > startAnswered;
}
