/**
 * What a worker does with a Pool whose lease another worker holds: it asks by the Pool's row and waits for the answer
 * there. Whoever holds the lease by then answers, also where the one that was asked has died.
 */
import { Fault } from "../domain/fault.ts";
import type { Pool, RuntimeRecord } from "../domain/runtime.ts";
import type { Store } from "../store/store.ts";
import { Bell } from "../util/bell.ts";
import type { Clock } from "../util/clock.ts";
import { type Announcer, announce, TOPICS } from "./announce.ts";

export interface AskDeps {
  readonly store: Pick<Store, "pools" | "runtimes">;
  readonly queue: Announcer;
  readonly clock: Clock;
  /** How often the row is looked at where no word of a change comes. */
  readonly rowPollMs: number;
}

/** As `PoolKeeper.ensureReady`, done by another. */
export async function askForStart(
  deps: AskDeps,
  poolKey: string,
  signal: AbortSignal,
): Promise<RuntimeRecord> {
  const asked = await deps.store.pools.askStart(poolKey);
  await announce(deps.queue, TOPICS.asked, poolKey);
  const pool = await untilRow(
    deps,
    poolKey,
    (row) => row === undefined || row.startAnswered >= asked,
    signal,
  );
  if (pool === undefined) throw new Fault("not_found", "The pool is gone.", { context: { poolKey } });
  const { startFault } = pool;
  if (startFault !== undefined) {
    const { code, message, details } = startFault;
    throw new Fault(code, message, details === undefined ? {} : { details });
  }
  const [newest] = await deps.store.runtimes.listOfPool(poolKey, 1);
  if (newest === undefined) throw new Fault("not_found", "The runtime is gone.", { context: { poolKey } });
  return newest;
}

/** Resolves when its keeper has removed the Pool, or somebody has come to need it again. */
export async function askForRemoval(deps: AskDeps, poolKey: string, signal: AbortSignal): Promise<void> {
  await deps.store.pools.askRemoval(poolKey, true);
  await announce(deps.queue, TOPICS.asked, poolKey);
  await untilRow(deps, poolKey, (row) => row === undefined || !row.removalAsked, signal);
}

async function untilRow(
  { store, queue, clock, rowPollMs }: AskDeps,
  poolKey: string,
  isAnswered: (pool: Pool | undefined) => boolean,
  signal: AbortSignal,
): Promise<Pool | undefined> {
  const bell = new Bell();
  await using _subscription = await queue.subscribe(TOPICS.changed, (key) => {
    if (key === poolKey) bell.ring();
  });
  signal.throwIfAborted();
  for (;;) {
    const pool = await store.pools.find(poolKey);
    if (isAnswered(pool)) return pool;
    await bell.wait(clock, rowPollMs, signal);
  }
}
