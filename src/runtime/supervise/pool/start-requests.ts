import type { FaultJson } from "../../../domain/fault.ts";
import { formatFault, toFault } from "../../../domain/fault.ts";
import type { Pool, RuntimeRecord } from "../../../domain/runtime.ts";
import type { Store } from "../../../store/store.ts";
import { type Announcer, announce, TOPICS } from "../../reach/announce.ts";
import { Waiters } from "./waiters.ts";

/**
 * Who wants a Pool to be started, whatever its state: installs of this process, which wait here, and those of other
 * workers, whose requests and answers stand in the Pool's row.
 */
export class StartRequests {
  readonly #deps: { readonly store: Pick<Store, "pools">; readonly queue: Announcer };
  readonly #waiters = new Waiters();

  constructor(deps: { readonly store: Pick<Store, "pools">; readonly queue: Announcer }) {
    this.#deps = deps;
  }

  /** Resolves with the Runtime that serves. `onGone` is called when an abort left nobody waiting in this process. */
  wait(
    options: { readonly onLog: (text: string) => void; readonly onGone: (reason: unknown) => void },
    signal: AbortSignal,
  ): Promise<RuntimeRecord> {
    return this.#waiters.wait(options, signal);
  }

  stand(pool: Pool | undefined): boolean {
    return this.#waiters.any || (pool !== undefined && isAsked(pool));
  }

  tell(text: string): void {
    this.#waiters.tell(text);
  }

  /** Answers all that stood when the row was read: this Runtime serves. */
  async succeed(pool: Pool, { id }: RuntimeRecord, find: Store["runtimes"]["find"]): Promise<void> {
    if (this.#waiters.any) {
      const found = await find(id);
      if (found !== undefined) this.#waiters.resolveAll(found);
    }
    await this.#answer(pool, undefined);
  }

  async fail(pool: Pool | undefined, error: unknown): Promise<void> {
    this.#waiters.rejectAll(error);
    if (pool !== undefined) await this.#answer(pool, formatFault(toFault(error)));
  }

  /** This process does not keep the Pool any more; requests in the row wait for whoever does. */
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
