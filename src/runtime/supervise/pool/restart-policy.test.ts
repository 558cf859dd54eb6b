import { afterEach, describe, expect, it } from "vitest";
import { aPool } from "../../../../test/harness/builders/a-pool.ts";
import { anInstallation, keeperWorlds } from "../../../../test/harness/rigs/keeper-world.ts";
import { isFault } from "../../../domain/fault.ts";

const KEY = aPool().key;
const quietly = { onLog: () => undefined };
const never = new AbortController().signal;

const aWorld = keeperWorlds(afterEach);

describe("a runtime that exits on its own", () => {
  it("is restarted at once, then after 1, 2 and 4 s, and is in a crash loop after the fifth end in 10 minutes", async () => {
    const world = await aWorld();
    const { keeper, directory } = await world.ready();
    const installation = anInstallation(world);
    await world.crash();
    await world.clock.until(() => world.rows.pool().state === "ready", 10_000);
    for (const delayMs of [1_000, 2_000, 4_000]) {
      await world.crash();
      const { state, nextStartAt, cause } = world.rows.pool();
      expect({ state, code: cause?.code }).toEqual({ state: "backoff", code: "plugin_crashed" });
      const leftMs = (nextStartAt?.getTime() ?? 0) - world.clock.now();
      expect(leftMs).toBeGreaterThan(delayMs - 500);
      expect(leftMs).toBeLessThanOrEqual(delayMs);
      await world.clock.until(() => world.rows.pool().state === "ready", delayMs + 20_000);
    }
    world.engine.writeLog(world.current.containerId ?? "", {
      stream: "stderr",
      at: new Date(world.clock.now()),
      text: "why it died",
    });
    await world.crash(9);
    expect(world.rows.pool()).toMatchObject({
      state: "crash_loop",
      cause: {
        code: "plugin_crashed",
        details: { exitCode: 9, oom: false, logs: ["why it died"], crashes: 5 },
      },
    });
    expect(installation()).toMatchObject({ state: "crash_loop", cause: { code: "plugin_crashed" } });

    const starts = world.engine.count("create");
    const refused = await directory.wait(KEY, never).catch((error: unknown) => error);
    expect(isFault(refused, "plugin_not_ready") && refused.details).toMatchObject({ state: "crash_loop" });
    await world.clock.advance(60_000, 500);
    expect(world.engine.count("create")).toBe(starts);

    const again = keeper.ensureReady(KEY, quietly, never);
    await world.clock.until(() => world.rows.pool().state === "ready");
    await again;
    expect(installation()).toMatchObject({ state: "ready", cause: undefined });
  });

  it("leaves a crash loop when its limits change", async () => {
    const world = await aWorld();
    const { keeper } = await world.ready({ crashesMax: 1 });
    await world.crash();
    expect(world.rows.pool().state).toBe("crash_loop");
    const limits = { ...aPool().limits, memoryBytes: 1 << 28 };
    const changed = keeper.replace(KEY, { limits }, never);
    await world.clock.until(() => world.rows.pool().state === "ready");
    expect((await changed)[0]).toMatchObject({ id: world.current.id });
    expect(world.rows.pool()).toMatchObject({ limits, nextLimits: undefined });
  });

  it("ends as oom when the kernel killed it for memory", async () => {
    const world = await aWorld();
    await world.ready();
    const { id, containerId = "" } = world.current;
    world.engine.crash(containerId, { exitCode: 137, oom: true });
    await world.clock.until(() => world.rows.runtimeRows.get(id)?.end?.reason === "oom");
    expect(world.transport.links.get(id)?.exit).toMatchObject({ exitCode: 137, oom: true });
  });

  it("is found by the next pass when its event was lost", async () => {
    const world = await aWorld();
    await world.ready();
    const { id, containerId = "" } = world.current;
    world.engine.cutEvents();
    world.engine.crash(containerId, { exitCode: 2 });
    await world.clock.until(() => world.rows.runtimeRows.get(id)?.end?.exitCode === 2, 31_000);
  });
});
