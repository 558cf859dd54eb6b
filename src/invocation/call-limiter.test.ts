import { describe, expect, it } from "vitest";
import { CallLimiter } from "./call-limiter.ts";

function enterAll(limiter: CallLimiter): number {
  let entered = 0;
  while (limiter.tryEnter()) entered++;
  return entered;
}

describe("a call limiter shared by several processes", () => {
  it.each([
    { granted: 10, processes: 1, share: 10 },
    { granted: 10, processes: 2, share: 5 },
    { granted: 10, processes: 3, share: 4 },
    { granted: 1, processes: 4, share: 1 },
  ])(
    "admits $share of $granted calls if $processes processes answer calls",
    ({ granted, processes, share }) => {
      const limiter = new CallLimiter({ limit: { granted, processes }, queueMax: 1 });
      expect(enterAll(limiter)).toBe(share);
      expect(limiter.inFlightMax).toBe(share);
    },
  );

  it("admits waiting calls at once when a process leaves, and shrinks gradually when one joins", () => {
    const limiter = new CallLimiter({ limit: { granted: 4, processes: 2 }, queueMax: 10 });
    expect(enterAll(limiter)).toBe(2);
    let granted = 0;
    for (let waiting = 0; waiting < 3; waiting++) limiter.wait(() => granted++);
    limiter.setLimit({ granted: 4, processes: 1 });
    expect([granted, limiter.inFlight]).toEqual([2, 4]);
    limiter.setLimit({ granted: 4, processes: 2 });
    limiter.leave();
    limiter.leave();
    expect([granted, limiter.inFlight]).toEqual([2, 2]);
    limiter.leave();
    expect([granted, limiter.inFlight]).toEqual([3, 2]);
  });

  it("names the shared limit and the processes in its refusal, unless its process is alone", () => {
    const shared = new CallLimiter({ limit: { granted: 5, processes: 2 }, queueMax: 0 });
    enterAll(shared);
    expect(shared.busy()).toMatchObject({
      message:
        "The plugin is busy: 3 of 3 calls in flight (one process's share of 5 among 2), 0 of 0 waiting.",
      details: { inFlight: 3, inFlightMax: 3, concurrencyMax: 5, processes: 2, queued: 0, queueMax: 0 },
    });
    const alone = new CallLimiter({ limit: { granted: 5, processes: 1 }, queueMax: 0 });
    expect(alone.busy().details).toEqual({ inFlight: 0, inFlightMax: 5, queued: 0, queueMax: 0 });
  });
});
