import { expect, it } from "vitest";
import { ManualClock } from "../../test/harness/doubles/manual-clock.ts";
import { poll, untilPoll } from "./clock.ts";

it("polls of one period that began at different times run at the same moments", async () => {
  const clock = new ManualClock();
  const stop = new AbortController();
  const moments: Record<string, number[]> = { first: [], second: [] };
  const start = (name: string) =>
    poll({ clock, everyMs: 1000 }, async () => void moments[name]?.push(clock.elapsed()), stop.signal);
  const first = start("first");
  await clock.advance(400);
  const second = start("second");
  await clock.advance(2700);
  stop.abort();
  await Promise.all([first, second]);
  expect(moments).toEqual({ first: [1000, 2000, 3000], second: [1000, 2000, 3000] });
});

it("a timer that fires a little too early does not make a poll of its own", () => {
  const at = (elapsed: number) =>
    untilPoll({ clock: { now: () => 0, elapsed: () => elapsed, sleep: async () => {} }, everyMs: 1000 });
  expect(at(2000)).toBe(1000);
  expect(at(1999.5)).toBe(1000.5);
  expect(at(2300)).toBe(700);
});
