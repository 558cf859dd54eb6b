import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { IdleClock } from "./idle-clock.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const late = () => new Error("silent");

test("the signal of an idle clock aborts with its reason after the time without activity, which activity restarts", () => {
  using clock = new IdleClock({ ms: 100, late });
  vi.advanceTimersByTime(90);
  clock.heard();
  vi.advanceTimersByTime(90);
  expect(clock.signal.aborted).toBe(false);
  vi.advanceTimersByTime(10);
  expect(clock.signal.reason).toEqual(new Error("silent"));
});

test("activity that comes too late starts no timer", () => {
  using clock = new IdleClock({ ms: 100, late });
  vi.advanceTimersByTime(100);
  clock.heard();
  expect(vi.getTimerCount()).toBe(0);
});

test("a given signal that aborts first gives the reason", () => {
  const stop = new AbortController();
  using clock = new IdleClock({ ms: 100, late }, stop.signal);
  stop.abort(new Error("enough"));
  expect(clock.signal.reason).toEqual(new Error("enough"));
});

test("a disposed idle clock never aborts", () => {
  const clock = new IdleClock({ ms: 100, late });
  clock[Symbol.dispose]();
  vi.advanceTimersByTime(1000);
  expect(clock.signal.aborted).toBe(false);
});
