import { describe, expect, test } from "vitest";
import { HealthJudge, type JudgeRules } from "./judge.ts";

const RULES: JudgeRules = {
  missesMax: 3,
  patienceMs: 300_000,
  togetherMin: 3,
  togetherShare: 0.25,
  togetherMs: 15_000,
  replacementsPerMinute: 2,
};

class World {
  now = 1_000_000;
  lateMs = 0;
  strain: string | undefined;
  readonly judge: HealthJudge;

  constructor(ids: readonly string[], rules: Partial<JudgeRules> = {}) {
    this.judge = new HealthJudge(
      { ...RULES, ...rules },
      { lateMs: () => this.lateMs, explain: () => this.strain },
    );
    for (const id of ids) this.judge.watch(id);
  }

  /** A check of `id` that was asked two seconds ago and has no answer. */
  miss(id: string, more: { excuse?: string; isCertain?: boolean } = {}) {
    this.now += 3_000;
    return this.judge.missed(id, { since: this.now - 2_000, at: this.now, ...more });
  }

  kinds(id: string, count: number) {
    return Array.from({ length: count }, () => this.miss(id).verdict);
  }
}

describe("on a host that is not under pressure", () => {
  test("the third miss in a row replaces the runtime", () => {
    expect(new World(["a"]).kinds("a", 3)).toEqual(["miss", "miss", "replace"]);
  });

  test("an answer resets the count", () => {
    const world = new World(["a"]);
    world.kinds("a", 2);
    world.judge.answered("a");
    expect(world.kinds("a", 3)).toEqual(["miss", "miss", "replace"]);
  });
});

describe("a miss does not replace the runtime", () => {
  test("while the host is under pressure, and counts afterwards", () => {
    const world = new World(["a"]);
    world.strain = "the host is busy";
    expect(world.kinds("a", 20).every((verdict) => verdict === "wait")).toBe(true);
    world.strain = undefined;
    expect(world.kinds("a", 3)).toEqual(["miss", "miss", "replace"]);
  });

  test("while many runtimes fail together", () => {
    const ids = Array.from({ length: 30 }, (_, index) => `plugin-${index}`);
    const world = new World(ids);
    const verdicts = Array.from({ length: 10 }, () =>
      ids.map((id) => world.judge.missed(id, { since: world.now, at: world.now + 2_000 }).verdict),
    );
    expect(verdicts.flat()).not.toContain("replace");
  });

  test("while the runtime has another excuse, which the verdict names", () => {
    expect(new World(["a"]).miss("a", { excuse: "its runner did not run" })).toEqual({
      verdict: "wait",
      why: "its runner did not run",
    });
  });

  test("while too many runtimes were replaced within a minute, and no longer", () => {
    const ids = Array.from({ length: 40 }, (_, index) => `plugin-${index}`);
    const world = new World(ids, { missesMax: 1 });
    const at = world.now;
    const hang = (id: string, later: number) =>
      world.judge.missed(id, { since: at + later - 2_000, at: at + later }).verdict;
    expect([hang("plugin-0", 0), hang("plugin-1", 0), hang("plugin-2", 0)]).toEqual([
      "replace",
      "replace",
      "wait",
    ]);
    expect(hang("plugin-2", 61_000)).toBe("replace");
  });
});

describe("whatever the host does", () => {
  test("a report of the runner itself counts", () => {
    const world = new World(["a"]);
    world.strain = "the host is busy";
    const verdicts = [1, 2, 3].map(() => world.miss("a", { isCertain: true }).verdict);
    expect(verdicts).toEqual(["miss", "miss", "replace"]);
  });

  test("silence longer than the patience replaces the runtime", () => {
    const world = new World(["a"]);
    world.strain = "the host is busy";
    expect(world.kinds("a", 100)).not.toContain("replace");
    expect(world.kinds("a", 1)).toEqual(["replace"]);
  });

  test("time in which Berth itself was suspended does not count as silence", () => {
    const world = new World(["a"]);
    world.miss("a");
    world.now += 3_600_000;
    world.lateMs = 3_600_000;
    world.strain = "Berth itself did not run";
    expect(world.kinds("a", 5)).not.toContain("replace");
  });
});
