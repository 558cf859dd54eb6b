import type { ProcessRecord } from "../../../src/store/contracts/processes.ts";
import type { Store } from "../../../src/store/store.ts";
import type { Clock } from "../../../src/util/clock.ts";
import { isLeaseOver } from "./lease.ts";

/**
 * Processes in memory by the rules of the store: the contract of processes runs on them. A row that a test puts there
 * itself lives until the test removes it.
 */
export function processRowsIn(rows: Map<string, ProcessRecord>, clock: Clock): Store["processes"] {
  const aliveUntil = new Map<string, Date>();
  const isLive = ({ id }: ProcessRecord) => {
    const until = aliveUntil.get(id);
    return until === undefined || !isLeaseOver(until, 0, clock);
  };
  return {
    announce: async (process, aliveMs) => {
      const { startedAt = new Date(clock.now()) } = rows.get(process.id) ?? {};
      rows.set(process.id, { ...process, startedAt });
      aliveUntil.set(process.id, new Date(clock.now() + aliveMs));
    },
    listLive: async () => [...rows.values()].filter(isLive),
    leave: async (id) => {
      rows.delete(id);
    },
  };
}
