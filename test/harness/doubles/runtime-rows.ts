/** The rows that runtimes stand on, in memory and by a clock of the test's: for tests of who supervises, not of the Store. */

import { Fault } from "../../../src/domain/fault.ts";
import { type MemoryRequest, refuseOverBudget } from "../../../src/domain/host-budget.ts";
import type { InstallationId } from "../../../src/domain/ids.ts";
import type { Installation } from "../../../src/domain/installation.ts";
import type { Pool, RuntimeRecord } from "../../../src/domain/runtime.ts";
import type { InstallationRows } from "../../../src/store/contracts/installations.ts";
import type { PoolRows } from "../../../src/store/contracts/pools.ts";
import type { ProcessRecord, ProcessRows } from "../../../src/store/contracts/processes.ts";
import type { RuntimeRows } from "../../../src/store/contracts/runtimes.ts";
import type { Store } from "../../../src/store/store.ts";
import type { Clock } from "../../../src/util/clock.ts";

const MIB = 1 << 20;

export function aPool(changes: Partial<Pool> = {}): Pool {
  return {
    key: "0123456789abcdef",
    tenantId: undefined,
    pluginId: "berth-tests/echo",
    identifier: `berth-tests/echo:0.0.1@${"0".repeat(64)}`,
    imageKey: "an-image-key",
    imageRef: "an-image:latest",
    runner: { entrypoint: "main" },
    limits: {
      memoryBytes: 64 * MIB,
      storageBytes: 16 * MIB,
      cpuMillis: 1_000,
      pidsMax: 64,
      concurrencyMax: 10,
      timeoutMs: 30_000,
      replicasMin: 1,
      replicasMax: 1,
    },
    uidOffset: 7,
    wanted: true,
    state: "idle",
    cause: undefined,
    nextStartAt: undefined,
    lease: undefined,
    startAsked: 0,
    startAnswered: 0,
    startFault: undefined,
    removalAsked: false,
    retiring: false,
    nextLimits: undefined,
    generationMin: 0,
    ...changes,
  };
}

export type RuntimeRowsStore = Pick<
  Store,
  "instanceId" | "pools" | "runtimes" | "installations" | "processes"
>;

export class MemoryRows implements RuntimeRowsStore {
  readonly instanceId: string;
  readonly pools: PoolRows;
  readonly runtimes: RuntimeRows;
  readonly installations: InstallationRows;
  readonly processes: ProcessRows;
  readonly poolRows = new Map<string, Pool>();
  readonly reserved = new Map<string, number>();
  readonly runtimeRows = new Map<string, RuntimeRecord>();
  readonly installationRows = new Map<InstallationId, Installation>();
  readonly processRows = new Map<string, ProcessRecord>();
  #unavailable = false;

  constructor({ clock, instanceId = "testtest" }: { readonly clock: Clock; readonly instanceId?: string }) {
    this.instanceId = instanceId;
    const enter = () => {
      if (this.#unavailable)
        throw new Fault("store_unavailable", "The Store does not answer (a test took it away).");
    };
    this.pools = poolRows(this, clock, enter);
    this.runtimes = runtimeRows(this, clock, enter);
    this.installations = installationRows(this, enter);
    this.processes = processRows(this, clock, enter);
  }

  unavailable(is: boolean): void {
    this.#unavailable = is;
  }

  addPool(changes: Partial<Pool> = {}): Pool {
    const pool = aPool(changes);
    this.poolRows.set(pool.key, pool);
    return pool;
  }

  changePool(key: string, changes: Partial<Pool>): void {
    const pool = this.poolRows.get(key);
    if (pool !== undefined) this.poolRows.set(key, { ...pool, ...changes });
  }

  pool(key = aPool().key): Pool {
    const pool = this.poolRows.get(key);
    if (pool === undefined) throw new Error(`no pool ${key}`);
    return pool;
  }

  /** Newest first. */
  runtimesOf(poolKey = aPool().key): readonly RuntimeRecord[] {
    const rows = [...this.runtimeRows.values()].filter((row) => row.poolKey === poolKey);
    return rows.sort((a, b) => b.generation - a.generation);
  }
}

function poolRows(rows: MemoryRows, clock: Clock, enter: () => void): PoolRows {
  const at = (ms: number) => new Date(clock.now() + ms);
  const isUsed = (key: string) =>
    [...rows.installationRows.values()].some((row) => row.poolKey === key && row.desired !== "removed");
  return {
    ensure: async (pool) => {
      enter();
      const next = {
        ...(rows.poolRows.get(pool.key) ?? aPool()),
        ...pool,
        removalAsked: false,
        retiring: false,
      };
      rows.poolRows.set(pool.key, next);
      return next;
    },
    find: async (key) => {
      enter();
      return rows.poolRows.get(key);
    },
    list: async () => {
      enter();
      return [...rows.poolRows.values()];
    },
    setState: async (key, state) => {
      enter();
      rows.changePool(key, state);
    },
    setWanted: async (key, wanted) => {
      enter();
      rows.changePool(key, { wanted });
    },
    unwantUnused: async (key) => {
      enter();
      if (isUsed(key) || !rows.poolRows.has(key)) return false;
      rows.changePool(key, { wanted: false });
      return true;
    },
    unwantIdle: async (key) => {
      enter();
      const isIdle = ![...rows.installationRows.values()].some(
        (row) => row.poolKey === key && row.desired === "enabled",
      );
      if (isIdle && rows.poolRows.has(key)) rows.changePool(key, { wanted: false });
      return isIdle && rows.poolRows.has(key);
    },
    removeUnused: async (key) => {
      enter();
      if (!isUsed(key)) rows.poolRows.delete(key);
      return !rows.poolRows.has(key);
    },
    claim: async (key, holder, leaseMs) => {
      enter();
      const pool = rows.poolRows.get(key);
      if (pool === undefined) return undefined;
      const { lease } = pool;
      if (lease !== undefined && lease.holder !== holder && lease.expiresAt.getTime() > clock.now())
        return undefined;
      rows.changePool(key, { lease: { holder, attempt: (lease?.attempt ?? 0) + 1, expiresAt: at(leaseMs) } });
      return rows.poolRows.get(key);
    },
    releaseAll: async (holder) => {
      enter();
      const held = [...rows.poolRows.values()].filter(({ lease }) => lease?.holder === holder);
      for (const { key } of held) rows.changePool(key, { lease: undefined });
      return held.map(({ key }) => key);
    },
    askStart: async (key) => {
      enter();
      const startAsked = rows.pool(key).startAsked + 1;
      rows.changePool(key, { startAsked });
      return startAsked;
    },
    askReplace: async (key, nextLimits) => {
      enter();
      const startAsked = rows.pool(key).startAsked + 1;
      const generationMin = (rows.runtimesOf(key)[0]?.generation ?? 0) + 1;
      rows.changePool(key, {
        startAsked,
        nextLimits,
        ...(nextLimits === undefined ? { generationMin } : {}),
      });
      return startAsked;
    },
    withdraw: async (key, startAnswered) => {
      enter();
      if (rows.pool(key).startAsked === startAnswered)
        rows.changePool(key, { startAnswered, nextLimits: undefined, generationMin: 0 });
    },
    answerStart: async (key, startAnswered, startFault) => {
      enter();
      const pool = rows.pool(key);
      if (pool.startAnswered >= startAnswered) return;
      rows.changePool(key, { startAnswered, startFault });
      if (pool.startAsked !== startAnswered) return;
      rows.changePool(key, { nextLimits: undefined });
      if (startFault !== undefined) rows.changePool(key, { generationMin: 0 });
      else if (pool.nextLimits !== undefined) rows.changePool(key, { limits: pool.nextLimits });
    },
    askRemoval: async (key, removalAsked) => {
      enter();
      if (!removalAsked || !rows.pool(key).wanted) rows.changePool(key, { removalAsked });
    },
  };
}

/** Without an end: a process lives until a test takes its row away. */
function processRows({ processRows: rows }: MemoryRows, clock: Clock, enter: () => void): ProcessRows {
  return {
    announce: async (process) => {
      enter();
      rows.set(process.id, { startedAt: new Date(clock.now()), ...process });
    },
    listLive: async () => {
      enter();
      return [...rows.values()];
    },
    leave: async (id) => {
      enter();
      rows.delete(id);
    },
  };
}

function runtimeRows(rows: MemoryRows, clock: Clock, enter: () => void): RuntimeRows {
  const change = async (id: string, changes: Partial<RuntimeRecord>) => {
    enter();
    const row = rows.runtimeRows.get(id);
    if (row !== undefined && row.state !== "ended") rows.runtimeRows.set(id, { ...row, ...changes });
  };
  const now = () => new Date(clock.now());
  const reserve = (id: string, reservation: MemoryRequest | undefined) => {
    if (reservation === undefined) return;
    const live = [...rows.runtimeRows.values()].filter((row) => row.state !== "ended");
    const bytes = live.reduce((sum, row) => sum + (rows.reserved.get(row.id) ?? 0), 0);
    const fault = refuseOverBudget(reservation, { bytes, runtimes: live.length, ownBytes: bytes });
    if (fault !== undefined) throw fault;
    rows.reserved.set(id, (rows.reserved.get(id) ?? 0) + reservation.memoryBytes);
  };
  return {
    create: async (runtime, reservation) => {
      enter();
      reserve(runtime.id, reservation);
      const record: RuntimeRecord = {
        tenantId: undefined,
        pluginId: undefined,
        identifier: undefined,
        ...runtime,
        containerId: undefined,
        state: "starting",
        startedAt: now(),
        readyAt: undefined,
        endedAt: undefined,
        end: undefined,
      };
      rows.runtimeRows.set(runtime.id, record);
      return record;
    },
    reserve: async (id, memoryBytes, judged) => {
      enter();
      if (rows.runtimeRows.get(id)?.state === "ended") return;
      const more = memoryBytes - (rows.reserved.get(id) ?? 0);
      if (judged !== undefined && more > 0) reserve(id, { ...judged, memoryBytes: more, isMore: true });
      else rows.reserved.set(id, memoryBytes);
    },
    setContainer: (id, containerId) => change(id, { containerId }),
    setState: (id, state) => change(id, { state, ...(state === "ready" ? { readyAt: now() } : {}) }),
    end: (id, end) => change(id, { state: "ended", endedAt: now(), end }),
    noteAction: async (id, action) => {
      enter();
      const row = rows.runtimeRows.get(id);
      if (row?.end !== undefined) rows.runtimeRows.set(id, { ...row, end: { ...row.end, action } });
    },
    listLive: async (poolKey) => {
      enter();
      const live = [...rows.runtimeRows.values()].filter(({ state }) => state !== "ended");
      return poolKey === undefined ? live : live.filter((row) => row.poolKey === poolKey);
    },
    listOfPool: async (poolKey, limit) => {
      enter();
      return rows.runtimesOf(poolKey).slice(0, limit);
    },
    listOfPlugin: async ({ tenantId, pluginId, since }, limit) => {
      enter();
      return [...rows.runtimeRows.values()]
        .filter((row) => row.pluginId === pluginId && (row.tenantId ?? tenantId) === tenantId)
        .filter(({ endedAt }) => endedAt === undefined || endedAt >= since)
        .sort((a, b) => b.startedAt.getTime() - a.startedAt.getTime())
        .slice(0, limit);
    },
    purge: async () => 0,
    find: async (id) => {
      enter();
      return rows.runtimeRows.get(id);
    },
    nextGeneration: async (poolKey) => {
      enter();
      return (rows.runtimesOf(poolKey)[0]?.generation ?? 0) + 1;
    },
  };
}

function installationRows(rows: MemoryRows, enter: () => void): InstallationRows {
  const absent = () => Promise.reject(new Error("these rows hold no installs"));
  return {
    acceptInstall: absent,
    acceptUninstall: absent,
    acceptChange: absent,
    findByPlugin: absent,
    isPublished: absent,
    changedSince: absent,
    setPool: absent,
    setNextPool: absent,
    publishReady: absent,
    publishRemoved: absent,
    find: async (id) => rows.installationRows.get(id),
    list: async ({ poolKey }) => {
      enter();
      const items = [...rows.installationRows.values()].filter((row) => row.poolKey === poolKey);
      return { items, nextCursor: undefined };
    },
    setState: async (id, state, cause) => {
      enter();
      const row = rows.installationRows.get(id);
      if (row !== undefined) rows.installationRows.set(id, { ...row, state, cause });
    },
  };
}
