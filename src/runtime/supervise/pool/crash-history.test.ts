import { describe, expect, it } from "vitest";
import { SUPERVISION_DEFAULTS } from "../../settings.ts";
import { CrashHistory } from "./crash-history.ts";

const history = () => new CrashHistory(SUPERVISION_DEFAULTS);

describe("CrashHistory", () => {
  it("restarts at once the first time, then after 1, 2 and 4 seconds, and gives up at the fifth in the window", () => {
    const crashes = history();
    const verdicts = [0, 1, 2, 3, 4].map((second) => crashes.note({ at: second * 1000, healthyForMs: 0 }));
    expect(verdicts).toEqual([
      { verdict: "now" },
      { verdict: "wait", delayMs: 1000 },
      { verdict: "wait", delayMs: 2000 },
      { verdict: "wait", delayMs: 4000 },
      { verdict: "give_up", crashes: 5 },
    ]);
  });

  it("starts the delay from the beginning after a runtime that was healthy long enough", () => {
    const crashes = history();
    crashes.note({ at: 0, healthyForMs: 0 });
    crashes.note({ at: 1000, healthyForMs: 59_999 });
    expect(crashes.note({ at: 70_000, healthyForMs: 60_000 })).toEqual({ verdict: "now" });
  });

  it("never waits longer than the maximum when failures lie further apart than the window counts", () => {
    const crashes = history();
    const apart = SUPERVISION_DEFAULTS.crashWindowMs / 3;
    const last = Array.from({ length: 20 }, (_, n) => crashes.note({ at: n * apart, healthyForMs: 0 })).at(
      -1,
    );
    expect(last).toEqual({ verdict: "wait", delayMs: 60_000 });
  });

  it("counts crashes of healthy runtimes towards the window too", () => {
    const crashes = history();
    const verdicts = [0, 1, 2, 3, 4].map((n) => crashes.note({ at: n * 61_000, healthyForMs: 61_000 }));
    expect(verdicts.at(-1)).toEqual({ verdict: "give_up", crashes: 5 });
  });

  it("forgets everything on reset", () => {
    const crashes = history();
    for (const at of [0, 1, 2, 3]) crashes.note({ at, healthyForMs: 0 });
    crashes.reset();
    expect(crashes.note({ at: 5, healthyForMs: 0 })).toEqual({ verdict: "now" });
  });
});
