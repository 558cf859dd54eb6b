/**
 * The pools whose lease this process holds, each with its supervisor. A lease is renewed when a third of it is over.
 * Guarantees: a supervisor exists only under a lease, and a lost lease releases it; one claim per pool runs at a time.
 */
import { Fault } from "../../domain/fault.ts";
import type { Store } from "../../store/store.ts";
import type { Clock } from "../../util/clock.ts";
import { KeyedLock } from "../../util/keyed-lock.ts";
import { PoolSupervisor } from "./pool/supervisor.ts";
import type { SupervisorDeps } from "./pool/supervisor-deps.ts";

export interface HeldPoolsOptions {
  readonly store: Pick<Store, "pools">;
  readonly clock: Clock;
  /** Unique among live processes. */
  readonly holder: string;
  readonly leaseMs: number;
  readonly supervisorDeps: Omit<SupervisorDeps, "isHeld">;
  /** This process does not supervise the pool any more. */
  readonly onForgotten: (poolKey: string) => void;
  /** A supervisor that lost its lease failed to end its work. */
  readonly onError: (error: unknown) => void;
}

export class HeldPools {
  readonly #options: HeldPoolsOptions;
  readonly #supervisorDeps: SupervisorDeps;
  readonly #supervisors = new Map<string, PoolSupervisor>();
  /** When each held lease was claimed or renewed last, by this process's clock. */
  readonly #claimedAt = new Map<string, number>();
  readonly #claims = new KeyedLock<string>();

  constructor(options: HeldPoolsOptions) {
    this.#options = options;
    const isHeld = (poolKey: string) => this.#ageOfLease(poolKey) < options.leaseMs;
    this.#supervisorDeps = { ...options.supervisorDeps, isHeld };
  }

  get all(): readonly (readonly [string, PoolSupervisor])[] {
    return [...this.#supervisors];
  }

  find(poolKey: string): PoolSupervisor | undefined {
    return this.#supervisors.get(poolKey);
  }

  /** Renews in one statement all leases of which a third is over. `hold` claims again what this does not renew. */
  async renew(): Promise<void> {
    const { store, holder, clock, leaseMs } = this.#options;
    const due = [...this.#supervisors.keys()].filter((key) => this.#ageOfLease(key) >= leaseMs / 3);
    if (due.length === 0) return;
    const askedAt = clock.now();
    for (const key of await store.pools.renew(due, holder, leaseMs))
      if (this.#supervisors.has(key)) this.#claimedAt.set(key, askedAt);
  }

  /** The pool's supervisor, under a lease that is renewed in time; undefined while another process holds the lease. */
  hold(poolKey: string): Promise<PoolSupervisor | undefined> {
    return this.#claims.run(poolKey, async () => {
      const { store, holder, clock, leaseMs, onError } = this.#options;
      const held = this.#supervisors.get(poolKey);
      if (held !== undefined && this.#ageOfLease(poolKey) < leaseMs / 3) return held;
      const askedAt = clock.now();
      const claimed = await store.pools.claim(poolKey, holder, leaseMs);
      if (claimed === undefined) {
        this.forget(poolKey);
        held?.release(new Fault("lease_lost", "Another worker holds this pool's lease."));
        held?.settled().catch(onError);
        return undefined;
      }
      this.#claimedAt.set(poolKey, askedAt);
      const supervisor = held ?? new PoolSupervisor(poolKey, this.#supervisorDeps);
      this.#supervisors.set(poolKey, supervisor);
      return supervisor;
    });
  }

  /** The caller has released its supervisor, or does so. */
  forget(poolKey: string): void {
    this.#supervisors.delete(poolKey);
    this.#claimedAt.delete(poolKey);
    this.#options.onForgotten(poolKey);
  }

  /** Releases all supervisors and resolves when their work has ended. The leases stay in the store. */
  async releaseAll(reason: Error): Promise<void> {
    const supervisors = [...this.#supervisors.values()];
    for (const supervisor of supervisors) supervisor.release(reason);
    await Promise.all(supervisors.map((supervisor) => supervisor.settled()));
    this.#supervisors.clear();
  }

  #ageOfLease(poolKey: string): number {
    const age = this.#options.clock.now() - (this.#claimedAt.get(poolKey) ?? Number.NEGATIVE_INFINITY);
    // The clock was set back since: the age is unknown, so the lease is claimed again.
    return age < 0 ? Number.POSITIVE_INFINITY : age;
  }
}
