import { expect, onTestFinished, test } from "vitest";
import { ManualClock } from "../../test/harness/doubles/manual-clock.ts";
import { Fault } from "../domain/fault.ts";
import { silentLog } from "../observe/log.ts";
import { startEventRetention } from "./event-retention.ts";

const EVERY_MS = 3_600_000;

/** A table with `old` events that are due. */
function aTable(old: number) {
  const asked: [number, number][] = [];
  const table = { old, asked, isAway: false };
  const purge = async (days: number, limit: number) => {
    if (table.isAway) throw new Fault("store_unavailable", "The database does not answer.");
    asked.push([days, limit]);
    const removed = Math.min(table.old, limit);
    table.old -= removed;
    return removed;
  };
  const events = { purge };
  return { table, store: { events } };
}

function start(days: number, store: ReturnType<typeof aTable>["store"]): ManualClock {
  const clock = new ManualClock();
  const options = { store, clock, log: silentLog, days, everyMs: EVERY_MS, batch: 100 };
  const retention = startEventRetention(options);
  onTestFinished(() => retention[Symbol.asyncDispose]());
  return clock;
}

test("all events that are due are removed at the start, in batches, and again each period", async () => {
  const { table, store } = aTable(250);
  const clock = start(90, store);
  await clock.until(() => table.asked.length === 3);
  expect(table).toMatchObject({ old: 0, asked: [90, 90, 90].map((days) => [days, 100]) });
  table.old = 1;
  await clock.advance(EVERY_MS, EVERY_MS / 4);
  expect(table.old).toBe(0);
});

test("a round that failed because the database was unavailable is repeated in the next period", async () => {
  const { table, store } = aTable(1);
  table.isAway = true;
  const clock = start(90, store);
  await clock.advance(EVERY_MS, EVERY_MS / 4);
  table.isAway = false;
  await clock.advance(EVERY_MS, EVERY_MS / 4);
  expect(table.old).toBe(0);
});

test("0 days keeps everything", async () => {
  const { table, store } = aTable(1);
  const clock = start(0, store);
  await clock.advance(2 * EVERY_MS, EVERY_MS);
  expect(table).toMatchObject({ old: 1, asked: [] });
});
