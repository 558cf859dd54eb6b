import { describe, expect, it } from "vitest";
import { judgeLoad, NO_TREND } from "./scale-rule.ts";

const RULE = { busyCalls: 2, busyMs: 3_000, quietMs: 10_000 };

/** The verdicts of one look a second, each with the open calls of every runtime that serves. */
function verdicts(looks: readonly (readonly number[])[], wanted = Math.max(1, looks[0]?.length ?? 0)) {
  let trend = NO_TREND;
  return looks.map((openCalls, second) => {
    const judged = judgeLoad(trend, { at: second * 1000, wanted, openCalls }, RULE);
    trend = judged.trend;
    return judged.verdict;
  });
}
const times = (count: number, ...openCalls: number[]) => Array.from({ length: count }, () => openCalls);
const same = (count: number) => Array<string>(count).fill("same");

describe("a scale-out by one runtime", () => {
  it("happens when all runtimes were busy in every sample for the time of the rule", () => {
    expect(verdicts(times(4, 2))).toEqual([...same(3), "more"]);
    expect(verdicts(times(4, 5, 2))).toEqual([...same(3), "more"]);
  });

  it.each([
    ["one of them had fewer calls", times(6, 9, 1)],
    ["one sample was less busy, which starts the time again", [...times(3, 2), [1], ...times(3, 2)]],
    ["none serves", times(6)],
  ])("does not happen if %s", (_why, looks) => {
    expect(verdicts(looks)).toEqual(same(looks.length));
  });

  it("does not happen while a desired runtime does not serve yet", () => {
    expect(verdicts(times(6, 9), 2)).toEqual(same(6));
  });
});

describe("a scale-in by one runtime", () => {
  it("happens when one runtime fewer would not have been busy in any sample", () => {
    expect(verdicts(times(11, 1, 0))).toEqual([...same(10), "less"]);
    expect(verdicts(times(11, 3, 0, 0))).toEqual([...same(10), "less"]);
  });

  it("does not happen if the calls would keep the others busy", () => {
    expect(verdicts(times(20, 1, 1))).toEqual(same(20));
    expect(verdicts(times(20, 2, 1, 1))).toEqual(same(20));
  });

  it("also happens if a desired runtime could not be started", () => {
    expect(verdicts(times(11, 0), 2)).toEqual([...same(10), "less"]);
  });

  it("never removes the only runtime", () => {
    expect(verdicts(times(20, 0))).toEqual(same(20));
  });

  it("waits for the whole time again after one busy sample", () => {
    expect(verdicts([...times(9, 0, 0), [2, 0], ...times(10, 0, 0)])).toEqual(same(20));
  });
});
