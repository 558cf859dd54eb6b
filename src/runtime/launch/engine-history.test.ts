import { describe, expect, test } from "vitest";
import { ManualClock } from "../../../test/harness/doubles/manual-clock.ts";
import type { EngineEvent } from "../../engine/engine.ts";
import { EngineHistory } from "./engine-history.ts";

const event = (action: EngineEvent["action"], signal?: number): EngineEvent => ({
  action,
  containerId: "c",
  labels: {},
  at: new Date(),
  ...(signal === undefined ? {} : { signal }),
});

describe("an end that Berth did not ask for", () => {
  test.each([
    ["was asked to end", event("kill", 15), "ended_outside"],
    ["was removed", event("destroy"), "ended_outside"],
    ["was only asked to read its settings", event("kill", 1), undefined],
    ["died", event("die"), undefined],
  ])("of a container that %s", (_what, told, reason) => {
    const clock = new ManualClock();
    const engineHistory = new EngineHistory(clock);
    engineHistory.note(told);
    expect(engineHistory.explain("c", clock.now(), undefined)).toBe(reason);
    expect(engineHistory.explain("another", clock.now(), undefined)).toBeUndefined();
  });

  test("around the time in which the engine was unavailable counts as a restart of the engine", async () => {
    const clock = new ManualClock();
    const engineHistory = new EngineHistory(clock);
    const crashedBefore = clock.now();
    await clock.advance(60_000, 10_000);
    engineHistory.noteBroken();
    await clock.advance(5_000, 5_000);
    engineHistory.noteBroken();
    expect(engineHistory.explain("c", clock.now() + 1_000, undefined)).toBe("engine_restarted");
    expect(engineHistory.explain("c", clock.now() + 600_000, { finishedAt: new Date(clock.now()) })).toBe(
      "engine_restarted",
    );
    expect(engineHistory.explain("c", crashedBefore, undefined)).toBeUndefined();
    expect(engineHistory.explain("c", clock.now() + 60_000, undefined)).toBeUndefined();
  });
});
