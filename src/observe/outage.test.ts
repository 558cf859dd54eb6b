import { expect, test } from "vitest";
import { Fault } from "../domain/fault.ts";
import { type Log, silentLog } from "./log.ts";
import { Outage } from "./outage.ts";

test("a series of failures is logged as one line with its code, and its end as another line", async () => {
  const lines: unknown[] = [];
  const log: Log = { ...silentLog, error: (line) => lines.push(line), info: (line) => lines.push(line) };
  const outage = new Outage(log, "thing.poll");
  const fail = () => Promise.reject(new Fault("store_unavailable", "The database does not answer."));
  for (const work of [async () => {}, fail, fail, async () => {}, async () => {}, fail])
    await outage.run(work);
  expect(lines).toMatchObject([
    { op: "thing.poll", ok: false, code: "store_unavailable" },
    { op: "thing.poll", ok: true },
    { op: "thing.poll", ok: false, code: "store_unavailable" },
  ]);
});
