import { describe, expect, it } from "vitest";
import { ManualClock } from "../../../test/harness/doubles/manual-clock.ts";
import { partialRows } from "../../../test/harness/doubles/partial-rows.ts";
import { processRowsIn } from "../../../test/harness/doubles/process-rows.ts";
import { Fault } from "../../domain/fault.ts";
import { silentLog } from "../../observe/log.ts";
import type { ProcessRecord, ProcessRows } from "../../store/contracts/processes.ts";
import { joinProcesses } from "./live-processes.ts";

const POLL_MS = 100;

/** What every process reads and writes. */
function openRows(clock: ManualClock) {
  const records = new Map<string, ProcessRecord>();
  const state = { isAway: false };
  const rows = partialRows<ProcessRows>("processes", processRowsIn(records, clock), (_method, answer) =>
    state.isAway ? Promise.reject(new Fault("store_unavailable", "The database does not answer.")) : answer(),
  );
  return { rows, state };
}

function world() {
  const clock = new ManualClock();
  const { rows, state } = openRows(clock);
  const join = (id: string, role: ProcessRecord["role"]) =>
    joinProcesses({
      store: { processes: rows },
      self: { id, role, host: "h", pid: 1 },
      clock,
      log: silentLog,
      pollMs: POLL_MS,
      aliveMs: 300,
    });
  return { clock, rows, state, join };
}

describe("the processes that share a database", () => {
  it("are counted by role; a process with both roles counts for both", async () => {
    const { clock, join } = world();
    await using first = await join("a", "api");
    expect([first.apis, first.workers]).toEqual([1, 0]);
    await using _worker = await join("b", "worker");
    await using _both = await join("c", "serve");
    await clock.advance(POLL_MS);
    expect([first.apis, first.workers]).toEqual([2, 2]);
  });

  it("notice a process that left within a poll, and a killed process when its row has expired", async () => {
    const { clock, rows, join } = world();
    await using first = await join("a", "api");
    const second = await join("b", "api");
    await rows.announce({ id: "killed", role: "api", host: "h", pid: 2 }, 250);
    let changes = 0;
    first.onChange(() => changes++);
    await clock.advance(POLL_MS);
    expect(first.apis).toBe(3);
    await second[Symbol.asyncDispose]();
    await clock.advance(POLL_MS);
    expect(first.apis).toBe(2);
    await clock.advance(POLL_MS);
    expect(first.apis).toBe(1);
    expect(changes).toBe(3);
  });

  it("keep their count while the database is unavailable, and until all have renewed their rows", async () => {
    const { clock, state, join } = world();
    await using first = await join("a", "api");
    await using second = await join("b", "api");
    await clock.advance(POLL_MS);
    state.isAway = true;
    for (let polls = 0; polls < 10; polls++) await clock.advance(POLL_MS);
    expect([first.apis, second.apis]).toEqual([2, 2]);
    state.isAway = false;
    for (let polls = 0; polls < 3; polls++) {
      await clock.advance(POLL_MS);
      expect([first.apis, second.apis]).toEqual([2, 2]);
    }
  });
});
