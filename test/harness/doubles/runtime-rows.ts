import { Fault } from "../../../src/domain/fault.ts";
import { type MemoryRequest, refuseOverBudget } from "../../../src/domain/host-budget.ts";
import { containerMemory } from "../../../src/domain/limits.ts";
import type { Pool, RuntimeRecord } from "../../../src/domain/runtime.ts";
import type { Store } from "../../../src/store/store.ts";
import type { Clock } from "../../../src/util/clock.ts";

const DAY_MS = 86_400_000;

interface Tables {
  readonly runtimeRows: Map<string, RuntimeRecord>;
  readonly poolRows: ReadonlyMap<string, Pool>;
  /** Bytes of memory, by runtime. */
  readonly reserved: Map<string, number>;
}

/**
 * Runtimes in memory by the rules of the store: the contracts of runtimes and of the host's memory run on them. There
 * are no quotas of tenants.
 */
export function runtimeRowsIn(tables: Tables, clock: Clock): Store["runtimes"] {
  const { runtimeRows: rows, reserved } = tables;
  const now = () => new Date(clock.now());
  const found = (id: string): RuntimeRecord => {
    const row = rows.get(id);
    if (row === undefined) throw new Fault("not_found", `There is no runtime ${id}.`);
    return row;
  };
  return {
    create: async (runtime, reservation) => {
      if (reservation !== undefined) {
        refuseBeyondBudget(tables, runtime.poolKey, reservation);
        reserved.set(runtime.id, reservation.memoryBytes);
      }
      const plugin = { tenantId: undefined, pluginId: undefined, identifier: undefined };
      const times = { startedAt: now(), readyAt: undefined, endedAt: undefined };
      const record: RuntimeRecord = {
        ...plugin,
        ...runtime,
        ...times,
        containerId: undefined,
        state: "starting",
        end: undefined,
      };
      rows.set(runtime.id, record);
      return record;
    },
    reserve: async (id, memoryBytes, judged) => {
      const row = rows.get(id);
      if (row === undefined || row.state === "ended") return;
      const more = memoryBytes - (reserved.get(id) ?? 0);
      if (judged !== undefined && more > 0)
        refuseBeyondBudget(tables, row.poolKey, { ...judged, memoryBytes: more, isMore: true });
      reserved.set(id, memoryBytes);
    },
    setContainer: async (id, containerId) => {
      rows.set(id, { ...found(id), containerId });
    },
    setState: async (id, state) => {
      const row = found(id);
      if (row.state === "ended") return;
      const { readyAt = state === "ready" ? now() : undefined } = row;
      rows.set(id, { ...row, state, readyAt });
    },
    end: async (id, end) => {
      const row = found(id);
      if (row.state !== "ended") rows.set(id, { ...row, state: "ended", endedAt: now(), end });
    },
    noteAction: async (id, action) => {
      const row = rows.get(id);
      if (row?.end !== undefined) rows.set(id, { ...row, end: { ...row.end, action } });
    },
    find: async (id) => rows.get(id),
    ...historyOf(tables, clock),
  };
}

function historyOf(
  { runtimeRows: rows }: Tables,
  clock: Clock,
): Pick<Store["runtimes"], "listLive" | "listOfPool" | "listOfPlugin" | "purge" | "nextGeneration"> {
  /** Of those that started in the same millisecond, the last one first. */
  const newestFirst = () =>
    [...rows.values()].reverse().sort((a, b) => b.startedAt.getTime() - a.startedAt.getTime());
  const ofPool = (poolKey: string) =>
    [...rows.values()]
      .filter((row) => row.poolKey === poolKey)
      .sort((a, b) => b.generation - a.generation || b.slot - a.slot);
  return {
    listLive: async (poolKey) =>
      newestFirst().filter((row) => row.state !== "ended" && (poolKey ?? row.poolKey) === row.poolKey),
    listOfPool: async (poolKey, limit) => ofPool(poolKey).slice(0, limit),
    listOfPlugin: async ({ tenantId, pluginId, since }, limit) =>
      newestFirst()
        .filter((row) => row.pluginId === pluginId && (row.tenantId ?? tenantId) === tenantId)
        .filter(({ endedAt }) => endedAt === undefined || endedAt >= since)
        .slice(0, limit),
    purge: async (olderThanDays, limit) => {
      const before = clock.now() - olderThanDays * DAY_MS;
      const old = [...rows.values()].filter(({ endedAt }) => (endedAt?.getTime() ?? Infinity) <= before);
      for (const { id } of old.slice(0, limit)) rows.delete(id);
      return Math.min(old.length, limit);
    },
    nextGeneration: async (poolKey) => (ofPool(poolKey)[0]?.generation ?? 0) + 1,
  };
}

/** Throws `host_full` where the request and what lives have more than the host's budget. */
function refuseBeyondBudget(
  { runtimeRows, poolRows, reserved }: Tables,
  poolKey: string,
  request: MemoryRequest,
): void {
  const live = [...runtimeRows.values()].filter(({ state }) => state !== "ended");
  /** One that reserved nothing, of an earlier release, is counted by its pool's limits. */
  const bytesOf = ({ id, poolKey: key }: RuntimeRecord) => {
    const pool = poolRows.get(key);
    return reserved.get(id) ?? (pool === undefined ? 0 : containerMemory(pool.limits));
  };
  const sum = (rows: readonly RuntimeRecord[]) => rows.reduce((bytes, row) => bytes + bytesOf(row), 0);
  const tenantOf = (key: string) => poolRows.get(key)?.tenantId;
  const own = live.filter((row) => tenantOf(row.poolKey) === tenantOf(poolKey));
  const fault = refuseOverBudget(request, { bytes: sum(live), runtimes: live.length, ownBytes: sum(own) });
  if (fault !== undefined) throw fault;
}
