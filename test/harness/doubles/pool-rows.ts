import { Fault } from "../../../src/domain/fault.ts";
import type { InstallationId } from "../../../src/domain/ids.ts";
import type { Installation } from "../../../src/domain/installation.ts";
import type { Pool, RuntimeRecord } from "../../../src/domain/runtime.ts";
import type { Store } from "../../../src/store/store.ts";
import type { Clock } from "../../../src/util/clock.ts";
import { aPool } from "../builders/a-pool.ts";
import { isLeaseOver } from "./lease.ts";

interface Tables {
  readonly poolRows: Map<string, Pool>;
  readonly runtimeRows: ReadonlyMap<string, RuntimeRecord>;
  readonly installationRows: ReadonlyMap<InstallationId, Installation>;
}

/** Pools in memory by the rules of the store: the contract of pools runs on them. */
export function poolRowsIn(tables: Tables, clock: Clock): Store["pools"] {
  const { poolRows: rows } = tables;
  const change = (key: string, changes: Partial<Pool>) => {
    const pool = rows.get(key);
    if (pool !== undefined) rows.set(key, { ...pool, ...changes });
    return pool !== undefined;
  };
  const changeOrThrow = async (key: string, changes: Partial<Pool>) => {
    if (!change(key, changes)) throw notFound(key);
  };
  let uidOffset = aPool().uidOffset;
  return {
    ensure: async (pool) => {
      const { imageRef, wanted, limits } = pool;
      const before = rows.get(pool.key) ?? aPool({ ...pool, uidOffset: uidOffset++ });
      const after = { ...before, imageRef, wanted, limits, removalAsked: false, retiring: false };
      rows.set(pool.key, after);
      return after;
    },
    find: async (key) => rows.get(key),
    list: async () => [...rows.values()].reverse(),
    setState: changeOrThrow,
    setWanted: (key, wanted) => changeOrThrow(key, { wanted }),
    ...leasesOf(tables, clock),
    ...endsOf(tables),
    ...requestsTo(tables),
  };
}

function notFound(key: string): Fault {
  return new Fault("not_found", `There is no pool ${key}.`);
}

function leasesOf(
  { poolRows: rows }: Tables,
  clock: Clock,
): Pick<Store["pools"], "claim" | "renew" | "releaseAll"> {
  const attempts = new Map<string, number>();
  return {
    claim: async (key, holder, leaseMs) => {
      const pool = rows.get(key);
      if (pool === undefined) return undefined;
      const { lease } = pool;
      const isOver = lease === undefined || isLeaseOver(lease.expiresAt, leaseMs, clock);
      if (!isOver && lease.holder !== holder) return undefined;
      const before = Math.max(lease?.attempt ?? 0, attempts.get(key) ?? 0);
      // A holder that renews in time keeps its attempt: a renewal fences nobody.
      const attempt = isOver ? before + 1 : lease.attempt;
      attempts.set(key, attempt);
      const claimed = { ...pool, lease: { holder, attempt, expiresAt: new Date(clock.now() + leaseMs) } };
      rows.set(key, claimed);
      return claimed;
    },
    renew: async (keys, holder, leaseMs) => {
      const expiresAt = new Date(clock.now() + leaseMs);
      return keys.filter((key) => {
        const pool = rows.get(key);
        const lease = pool?.lease;
        if (pool === undefined || lease?.holder !== holder || isLeaseOver(lease.expiresAt, leaseMs, clock))
          return false;
        rows.set(key, { ...pool, lease: { ...lease, expiresAt } });
        return true;
      });
    },
    releaseAll: async (holder) => {
      const held = [...rows.values()].filter(({ lease }) => lease?.holder === holder);
      for (const pool of held) {
        attempts.set(pool.key, pool.lease?.attempt ?? 0);
        rows.set(pool.key, { ...pool, lease: undefined });
      }
      return held.map(({ key }) => key);
    },
  };
}

/** What becomes of a pool depends on the installations that point to it. */
function endsOf({
  poolRows: rows,
  installationRows,
}: Tables): Pick<Store["pools"], "unwantUnused" | "unwantIdle" | "removeUnused"> {
  const pointTo = (key: string) =>
    [...installationRows.values()].filter((row) => row.poolKey === key || row.nextPoolKey === key);
  const isUsed = (key: string) => pointTo(key).some(({ desired }) => desired !== "removed");
  const isEnabled = (key: string) => pointTo(key).some(({ desired }) => desired === "enabled");
  const unwantUnless = (isNeeded: (key: string) => boolean) => async (key: string) => {
    const pool = rows.get(key);
    if (pool === undefined || isNeeded(key)) return false;
    rows.set(key, { ...pool, wanted: false });
    return true;
  };
  return {
    unwantUnused: unwantUnless(isUsed),
    unwantIdle: unwantUnless(isEnabled),
    removeUnused: async (key) => {
      if (!isUsed(key)) rows.delete(key);
      return !rows.has(key);
    },
  };
}

/** What workers ask of the one that holds the pool's lease. */
function requestsTo({
  poolRows: rows,
  runtimeRows,
}: Tables): Pick<Store["pools"], "askStart" | "askReplace" | "withdraw" | "answerStart" | "askRemoval"> {
  const ask = (key: string, changes: Partial<Pool>) => {
    const pool = rows.get(key);
    if (pool === undefined) throw notFound(key);
    const startAsked = pool.startAsked + 1;
    rows.set(key, { ...pool, ...changes, startAsked });
    return startAsked;
  };
  const newestOf = (key: string) =>
    Math.max(
      0,
      ...[...runtimeRows.values()].filter((row) => row.poolKey === key).map((row) => row.generation),
    );
  return {
    askStart: async (key) => ask(key, {}),
    askReplace: async (key, nextLimits) =>
      ask(key, { nextLimits, ...(nextLimits === undefined && { generationMin: newestOf(key) + 1 }) }),
    withdraw: async (key, startAnswered) => {
      const pool = rows.get(key);
      if (pool === undefined || pool.startAsked !== startAnswered || pool.startAnswered >= startAnswered)
        return;
      rows.set(key, { ...pool, startAnswered, nextLimits: undefined, generationMin: 0 });
    },
    answerStart: async (key, startAnswered, startFault) => {
      const pool = rows.get(key);
      if (pool === undefined || pool.startAnswered >= startAnswered) return;
      const { limits, nextLimits } = pool;
      const ofThisRequest = {
        limits: startFault === undefined ? (nextLimits ?? limits) : limits,
        nextLimits: undefined,
        ...(startFault !== undefined && { generationMin: 0 }),
      };
      const isLatest = pool.startAsked === startAnswered;
      rows.set(key, { ...pool, startAnswered, startFault, ...(isLatest && ofThisRequest) });
    },
    askRemoval: async (key, removalAsked) => {
      const pool = rows.get(key);
      if (pool !== undefined && !(removalAsked && pool.wanted)) rows.set(key, { ...pool, removalAsked });
    },
  };
}
