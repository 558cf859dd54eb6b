import { randomUUID } from "node:crypto";
import type { Store } from "../../store/store.ts";
import type { Clock } from "../../util/clock.ts";
import { underLease } from "../task-engine/under-lease.ts";

export interface ArchiveLeaseDeps {
  readonly store: Pick<Store, "leases">;
  readonly clock: Clock;
  /** Lease of the archive, which expires when its holder dies. */
  readonly leaseMs: number;
}

/** Storing or removing one archive takes milliseconds in a folder, seconds in a bucket. */
export const ARCHIVE_LEASE = Object.freeze({ leaseMs: 10_000, pollMs: 50 });

/**
 * Does the work while no other process stores or removes the archive of this identifier: so the archive and its row
 * appear and disappear together. Tries again each `pollMs` while another holder has the lease.
 */
export async function withArchive<T>(
  deps: ArchiveLeaseDeps & { readonly pollMs: number },
  identifier: string,
  work: (signal: AbortSignal) => Promise<T>,
  signal: AbortSignal,
): Promise<T> {
  for (;;) {
    const done = await tryWithArchive(deps, identifier, work, signal);
    if (done !== undefined) return done.result;
    await deps.clock.sleep(deps.pollMs, signal);
  }
}

/** Tries once; undefined where another holder has the lease. */
export async function tryWithArchive<T>(
  { store, clock, leaseMs }: ArchiveLeaseDeps,
  identifier: string,
  work: (signal: AbortSignal) => Promise<T>,
  signal: AbortSignal,
): Promise<{ readonly result: T } | undefined> {
  const name = `archive ${identifier}`;
  const holder = randomUUID();
  if (!(await store.leases.take(name, holder, leaseMs))) return undefined;
  const renew = () => store.leases.renew(name, holder, leaseMs);
  try {
    return { result: await underLease({ clock, leaseMs, renew }, signal, work) };
  } finally {
    // A lease that cannot be released expires.
    await store.leases.release(name, holder).catch(() => undefined);
  }
}
