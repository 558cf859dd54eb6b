import { describe, expect, test } from "vitest";
import { ManualClock } from "../../test/harness/doubles/manual-clock.ts";
import { Fault } from "../domain/fault.ts";
import type { Log } from "./log.ts";
import { type ReachOptions, reach } from "./reach.ts";

function setUp(options: Partial<ReachOptions> = {}) {
  const clock = new ManualClock();
  const said: string[] = [];
  const note = (_fields: object, message = "") => void said.push(message);
  const log: Log = { debug: note, info: note, warn: note, error: note, child: () => log };
  const all: ReachOptions = {
    server: "Thing at here:1",
    code: "store_unavailable",
    op: "thing.connect",
    waitMs: 10_000,
    clock,
    log,
    explain: (error) => ({ reason: error instanceof Error ? error.message : "?", isFinal: false }),
    signal: new AbortController().signal,
    ...options,
  };
  return { clock, said, options: all };
}

describe("reaching a server", () => {
  test("repeats until it answers, and logs each reason and the recovery once", async () => {
    const { clock, said, options } = setUp();
    const answers = ["refused", "refused", "starting", "starting", undefined];
    let attempts = 0;
    const reached = reach(options, async () => {
      const problem = answers[attempts];
      attempts += 1;
      if (problem !== undefined) throw new Error(problem);
      return "here";
    });
    await clock.advance(10_000);
    expect(await reached).toBe("here");
    expect(attempts).toBe(5);
    expect(said).toEqual([
      "Thing at here:1 cannot be used: refused. Retrying for 10 s in all.",
      "Thing at here:1 cannot be used: starting. Retrying for 10 s in all.",
      "Thing at here:1 answers",
    ]);
  });

  test("logs nothing if the first attempt succeeds", async () => {
    const { said, options } = setUp();
    expect(await reach(options, async () => 7)).toBe(7);
    expect(said).toEqual([]);
  });

  test("ends with the last reason when its time is over, after one last attempt at that moment", async () => {
    const { clock, options } = setUp();
    const began = clock.now();
    let last = 0;
    const reached = reach(options, async () => {
      last = clock.now() - began;
      throw new Error("refused");
    });
    const outcome = expect(reached).rejects.toMatchObject({
      code: "store_unavailable",
      message: "Thing at here:1 cannot be used: refused. Gave up after 10 s.",
    });
    await clock.advance(15_000);
    await outcome;
    expect(last).toBe(10_000);
  });

  test("tries once if it may not wait", async () => {
    const { said, options } = setUp({ waitMs: 0 });
    let attempts = 0;
    await expect(
      reach(options, async () => {
        attempts += 1;
        throw new Error("refused");
      }),
    ).rejects.toThrow("Thing at here:1 cannot be used: refused.");
    expect([attempts, said]).toEqual([1, []]);
  });

  test("ends at once for a reason that waiting cannot change, for another fault and for a bug", async () => {
    const { options } = setUp({ explain: () => ({ reason: "not trusted", isFinal: true }) });
    await expect(reach(options, () => Promise.reject(new Error("tls")))).rejects.toMatchObject({
      code: "store_unavailable",
      message: "Thing at here:1 cannot be used: not trusted.",
    });
    const mismatch = new Fault("store_mismatch", "too old");
    await expect(reach(options, () => Promise.reject(mismatch))).rejects.toBe(mismatch);
    const bug = new TypeError("bug");
    const blind = setUp({ explain: () => undefined }).options;
    await expect(reach(blind, () => Promise.reject(bug))).rejects.toBe(bug);
  });

  test("ends when its signal aborts", async () => {
    const stop = new AbortController();
    const { options } = setUp({ signal: stop.signal });
    const reached = reach(options, () => Promise.reject(new Error("refused")));
    stop.abort(new Fault("shutting_down", "SIGTERM"));
    await expect(reached).rejects.toMatchObject({ code: "shutting_down" });
  });
});
