import { describe, expect, it } from "vitest";
import { Breaker } from "./call-limiter.ts";

function enterAll(breaker: Breaker): number {
  let entered = 0;
  while (breaker.tryEnter()) entered++;
  return entered;
}

describe("a breaker among several processes", () => {
  it.each([
    { granted: 10, processes: 1, share: 10 },
    { granted: 10, processes: 2, share: 5 },
    { granted: 10, processes: 3, share: 4 },
    { granted: 1, processes: 4, share: 1 },
  ])("lets in $share of $granted calls where $processes answer them", ({ granted, processes, share }) => {
    const breaker = new Breaker({ limit: { granted, processes }, queueMax: 1 });
    expect(enterAll(breaker)).toBe(share);
    expect(breaker.inFlightMax).toBe(share);
  });

  it("lets waiting calls in at once when another process has gone, and drains down when one has come", () => {
    const breaker = new Breaker({ limit: { granted: 4, processes: 2 }, queueMax: 10 });
    expect(enterAll(breaker)).toBe(2);
    let granted = 0;
    for (let waiting = 0; waiting < 3; waiting++) breaker.wait(() => granted++);
    breaker.setLimit({ granted: 4, processes: 1 });
    expect([granted, breaker.inFlight]).toEqual([2, 4]);
    breaker.setLimit({ granted: 4, processes: 2 });
    breaker.leave();
    breaker.leave();
    expect([granted, breaker.inFlight]).toEqual([2, 2]);
    breaker.leave();
    expect([granted, breaker.inFlight]).toEqual([3, 2]);
  });

  it("says in its refusal what is shared among how many, and nothing of it where nobody else is", () => {
    const shared = new Breaker({ limit: { granted: 5, processes: 2 }, queueMax: 0 });
    enterAll(shared);
    expect(shared.busy()).toMatchObject({
      message:
        "The plugin is busy: 3 of 3 calls in flight (one process's share of 5 among 2), 0 of 0 waiting.",
      details: { inFlight: 3, inFlightMax: 3, concurrencyMax: 5, processes: 2, queued: 0, queueMax: 0 },
    });
    const alone = new Breaker({ limit: { granted: 5, processes: 1 }, queueMax: 0 });
    expect(alone.busy().details).toEqual({ inFlight: 0, inFlightMax: 5, queued: 0, queueMax: 0 });
  });
});
