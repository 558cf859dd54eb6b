import { expect, test } from "vitest";
import { ManualClock } from "../../test/harness/doubles/manual-clock.ts";
import { Deadline } from "./deadline.ts";

test("the signal of a deadline aborts with its reason when the time has passed, not before", async () => {
  const clock = new ManualClock();
  using deadline = new Deadline({ clock, ms: 1000, late: () => new Error("too slow") });
  await clock.advance(950);
  expect(deadline.isOver).toBe(false);
  expect(deadline.signal.aborted).toBe(false);
  await clock.advance(50);
  expect(deadline.isOver).toBe(true);
  expect(deadline.signal.reason).toEqual(new Error("too slow"));
});

test("a deadline without a reason of its own names the limit", async () => {
  const clock = new ManualClock();
  using deadline = new Deadline({ clock, ms: 100 });
  await clock.advance(100);
  expect(deadline.signal.reason).toEqual(new Error("not within 100 ms"));
});

test("a given signal that aborts first gives the reason, and the deadline is not over", async () => {
  const stop = new AbortController();
  using deadline = new Deadline({ clock: new ManualClock(), ms: 100 }, stop.signal);
  stop.abort(new Error("enough"));
  expect(deadline.signal.reason).toEqual(new Error("enough"));
  expect(deadline.isOver).toBe(false);
});

test("a disposed deadline never aborts", async () => {
  const clock = new ManualClock();
  const deadline = new Deadline({ clock, ms: 100 });
  deadline[Symbol.dispose]();
  await clock.advance(1000);
  expect(deadline.isOver).toBe(false);
  expect(deadline.signal.aborted).toBe(false);
});
