/**
 * Requests for a pool whose lease another worker holds. The request and its answer are in the pool's row, so the worker
 * that holds the lease by then answers, even if the one that was asked first has died.
 */
import { Fault } from "../../domain/fault.ts";
import type { Limits } from "../../domain/limits.ts";
import type { Pool, RuntimeRecord } from "../../domain/runtime.ts";
import type { Store } from "../../store/store.ts";
import { Bell } from "../../util/bell.ts";
import type { Clock } from "../../util/clock.ts";
import { type Announcer, announce, TOPICS } from "../reach/announce.ts";

export interface AskDeps {
  readonly store: Pick<Store, "pools" | "runtimes">;
  readonly queue: Announcer;
  readonly clock: Clock;
  /** How often the row is read when no change is announced. */
  readonly rowPollMs: number;
}

/** Enough for all that serve and those before them. */
const NEWEST = 200;

/** As `PoolKeeper.ensureReady`. */
export async function askForStart(
  deps: AskDeps,
  poolKey: string,
  signal: AbortSignal,
): Promise<RuntimeRecord> {
  await untilAnswered(deps, { poolKey, asked: await deps.store.pools.askStart(poolKey) }, signal);
  const [newest] = await deps.store.runtimes.listOfPool(poolKey, 1);
  if (newest === undefined) throw new Fault("not_found", "The runtime is gone.", { context: { poolKey } });
  return newest;
}

/** As `PoolKeeper.replace`. An abort withdraws the request. */
export async function askForReplacement(
  deps: AskDeps,
  { poolKey, limits }: { readonly poolKey: string; readonly limits: Limits | undefined },
  signal: AbortSignal,
): Promise<readonly RuntimeRecord[]> {
  const asked = await deps.store.pools.askReplace(poolKey, limits);
  try {
    await untilAnswered(deps, { poolKey, asked }, signal);
    return await deps.store.runtimes.listOfPool(poolKey, NEWEST);
  } catch (error) {
    if (signal.aborted) await deps.store.pools.withdraw(poolKey, asked).catch(() => undefined);
    throw error;
  }
}

/** As `PoolKeeper.stopIfIdle`, for a pool whose row says already that it is to stop. */
export async function untilStopped(
  { store, queue, clock, rowPollMs }: AskDeps,
  { poolKey, waitMs }: { readonly poolKey: string; readonly waitMs: number },
  signal: AbortSignal,
): Promise<boolean> {
  const bell = new Bell();
  await using _subscription = await queue.subscribe(TOPICS.changed, (key) => {
    if (key === poolKey) bell.ring();
  });
  await announce(queue, TOPICS.asked, poolKey);
  for (const until = clock.now() + waitMs; ; ) {
    signal.throwIfAborted();
    const [pool, live] = await Promise.all([store.pools.find(poolKey), store.runtimes.listLive()]);
    if (pool === undefined || pool.wanted || !live.some((row) => row.poolKey === poolKey)) return true;
    const leftMs = until - clock.now();
    if (leftMs <= 0) return false;
    await bell.wait(clock, Math.min(rowPollMs, leftMs), signal);
  }
}

async function untilAnswered(
  deps: AskDeps,
  { poolKey, asked }: { readonly poolKey: string; readonly asked: number },
  signal: AbortSignal,
): Promise<void> {
  await announce(deps.queue, TOPICS.asked, poolKey);
  const isAnswered = (row: Pool | undefined) => row === undefined || row.startAnswered >= asked;
  const pool = await untilRow(deps, poolKey, isAnswered, signal);
  if (pool === undefined) throw new Fault("not_found", "The pool is gone.", { context: { poolKey } });
  const { startFault } = pool;
  if (startFault === undefined) return;
  const { code, message, details } = startFault;
  throw new Fault(code, message, details === undefined ? {} : { details });
}

/** Resolves when the other worker has removed the pool, or an install needs it again. */
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
