/**
 * The processes that share the database: renews this process's row and counts the others by theirs. A process that shuts
 * down removes its row at once; one that is killed counts until its row expires.
 */
import { Fault, isFault } from "../../domain/fault.ts";
import type { Log } from "../../observe/log.ts";
import { Outage } from "../../observe/outage.ts";
import type { ProcessRecord } from "../../store/contracts/processes.ts";
import type { Store } from "../../store/store.ts";
import { type Clock, poll } from "../../util/clock.ts";

export interface LiveProcesses extends AsyncDisposable {
  /** As of the last count, this process included; while the database is away, the last known number. */
  readonly apis: number;
  readonly workers: number;
  /** Called when one of the two numbers has changed. Returns a function that removes the listener. */
  onChange(listener: () => void): () => void;
}

export interface LiveProcessesOptions {
  readonly store: Pick<Store, "processes">;
  readonly self: Omit<ProcessRecord, "startedAt">;
  readonly clock: Clock;
  readonly log: Log;
  /** How often the row is renewed and the others are counted. */
  readonly pollMs: number;
  /** A process whose row is older is dead. At least three polls, so that one slow poll does not count as a death. */
  readonly aliveMs: number;
}

/** Resolves when this process has its row and has counted the others. */
export async function joinProcesses(options: LiveProcessesOptions): Promise<LiveProcesses> {
  const processes = new Processes(options);
  await processes.look();
  processes.poll();
  return processes;
}

class Processes implements LiveProcesses {
  readonly #options: LiveProcessesOptions;
  readonly #aliveMs: number;
  readonly #listeners = new Set<() => void>();
  readonly #stop = new AbortController();
  readonly #outage: Outage;
  #polling: Promise<void> = Promise.resolve();
  #wasAway = false;
  apis = 1;
  workers = 0;

  constructor(options: LiveProcessesOptions) {
    this.#options = options;
    this.#aliveMs = Math.max(options.aliveMs, 3 * options.pollMs);
    this.#outage = new Outage(options.log, "process.announce");
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  async look(): Promise<void> {
    const { store, self } = this.#options;
    await store.processes.announce(self, this.#aliveMs);
    const live = await store.processes.listLive();
    const count = (role: ProcessRecord["role"]) =>
      live.filter((other) => other.role === role || other.role === "serve").length;
    const [apis, workers] = [Math.max(1, count("api")), count("worker")];
    if (apis === this.apis && workers === this.workers) return;
    this.apis = apis;
    this.workers = workers;
    for (const listener of this.#listeners) listener();
  }

  poll(): void {
    const { clock, pollMs } = this.#options;
    const work = () => this.#outage.run(() => this.#pass());
    this.#polling = poll({ clock, everyMs: pollMs }, work, this.#stop.signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new Fault("shutting_down", "Berth is stopping."));
    await this.#polling;
    try {
      await this.#options.store.processes.leave(this.#options.self.id);
    } catch (error) {
      // The row expires by itself; a store that is away must not keep the process from ending.
      if (!isFault(error, "store_unavailable")) throw error;
    }
  }

  /** While the database was away nobody could renew, so the first pass after that only renews and does not count. */
  async #pass(): Promise<void> {
    try {
      const { store, self } = this.#options;
      if (this.#wasAway) await store.processes.announce(self, this.#aliveMs);
      else await this.look();
      this.#wasAway = false;
    } catch (error) {
      this.#wasAway = true;
      throw error;
    }
  }
}
