/**
 * The rows that supervision reads and writes, in memory and by the clock of the test. Pools, runtimes and processes keep
 * the store's rules: its contract runs on them. Installations are what a test puts there.
 */
import { Fault } from "../../../src/domain/fault.ts";
import type { InstallationId } from "../../../src/domain/ids.ts";
import type { Installation } from "../../../src/domain/installation.ts";
import type { Pool, RuntimeRecord } from "../../../src/domain/runtime.ts";
import type { ProcessRecord } from "../../../src/store/contracts/processes.ts";
import type { Store } from "../../../src/store/store.ts";
import type { Clock } from "../../../src/util/clock.ts";
import { aPool } from "../builders/a-pool.ts";
import { partialRows } from "./partial-rows.ts";
import { poolRowsIn } from "./pool-rows.ts";
import { processRowsIn } from "./process-rows.ts";
import { runtimeRowsIn } from "./runtime-rows.ts";

export type RuntimeRowsStore = Pick<
  Store,
  "instanceId" | "pools" | "runtimes" | "installations" | "processes"
>;

export class MemoryRows implements RuntimeRowsStore {
  readonly instanceId: string;
  readonly pools: Store["pools"];
  readonly runtimes: Store["runtimes"];
  readonly installations: Store["installations"];
  readonly processes: Store["processes"];
  readonly poolRows = new Map<string, Pool>();
  /** Bytes of memory, by runtime. */
  readonly reserved = new Map<string, number>();
  readonly runtimeRows = new Map<string, RuntimeRecord>();
  readonly installationRows = new Map<InstallationId, Installation>();
  readonly processRows = new Map<string, ProcessRecord>();
  #unavailable = false;

  constructor({ clock, instanceId = "testtest" }: { readonly clock: Clock; readonly instanceId?: string }) {
    this.instanceId = instanceId;
    const rows = <T extends object>(name: string, part: NoInfer<Partial<T>>): T =>
      partialRows(name, part, (_method, answer) =>
        this.#unavailable
          ? Promise.reject(new Fault("store_unavailable", "The Store does not answer (a test took it away)."))
          : answer(),
      );
    this.pools = rows("pools", poolRowsIn(this, clock));
    this.runtimes = rows("runtimes", runtimeRowsIn(this, clock));
    this.processes = rows("processes", processRowsIn(this.processRows, clock));
    this.installations = rows("installations", installationRowsIn(this.installationRows));
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

function installationRowsIn(
  rows: Map<InstallationId, Installation>,
): Pick<Store["installations"], "find" | "list" | "setState"> {
  return {
    find: async (id) => rows.get(id),
    list: async ({ poolKey }) => {
      const items = [...rows.values()].filter((row) => row.poolKey === poolKey);
      return { items, nextCursor: undefined };
    },
    setState: async (id, state, cause) => {
      const row = rows.get(id);
      if (row !== undefined) rows.set(id, { ...row, state, cause });
    },
  };
}
