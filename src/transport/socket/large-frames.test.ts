import { afterEach, expect, test, vi } from "vitest";
import { LargeFrames } from "./large-frames.ts";

afterEach(() => {
  vi.useRealTimers();
});

test("frames beyond the budget wait, in order, until room is released", async () => {
  await using frames = new LargeFrames({ budgetBytes: 10, waitMs: 60_000 });
  expect(frames.reserve(6)).toBe(true);
  const second = frames.reserve(6);
  const third = frames.reserve(1);
  expect(second).not.toBe(true);
  expect(third).not.toBe(true);
  frames.release(6);
  expect(await second).toBe(true);
  expect(await third).toBe(true);
});

test("a frame larger than the whole budget passes when it is alone", async () => {
  await using frames = new LargeFrames({ budgetBytes: 10, waitMs: 60_000 });
  expect(frames.reserve(50)).toBe(true);
});

test("a frame that finds no room in time is refused and lets the next one through", async () => {
  vi.useFakeTimers();
  await using frames = new LargeFrames({ budgetBytes: 10, waitMs: 1_000 });
  expect(frames.reserve(6)).toBe(true);
  const tooLarge = frames.reserve(8);
  vi.advanceTimersByTime(500);
  const small = frames.reserve(4);
  vi.advanceTimersByTime(500);
  expect(await tooLarge).toBe(false);
  expect(await small).toBe(true);
});

test("the worker reads a frame, and says so when a line is none", async () => {
  await using frames = new LargeFrames({ budgetBytes: 10, waitMs: 1_000 });
  const line = Buffer.from('{"event":"session","session_id":"a","data":{"type":"end","data":{"é":1}}}\n');
  const copy = Buffer.allocUnsafeSlow(line.length);
  line.copy(copy);
  expect(await frames.parse(copy)).toEqual({ sessionId: "a", frame: { type: "end", data: { é: 1 } } });
  const bad = Buffer.allocUnsafeSlow(3);
  bad.write("{x\n");
  expect(await frames.parse(bad)).toBeUndefined();
});
