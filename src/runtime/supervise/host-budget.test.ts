import { afterEach, describe, expect, it } from "vitest";
import { aPool } from "../../../test/harness/builders/a-pool.ts";
import { anInstallation, type KeeperWorld, keeperWorlds } from "../../../test/harness/rigs/keeper-world.ts";
import { RuntimeId } from "../../domain/ids.ts";

const MIB = 1 << 20;
const KEY = aPool().key;
const quietly = { onLog: () => undefined };
const never = new AbortController().signal;
const FULL = { launch: { hostMemoryBytes: 150 * MIB } };

const aWorld = keeperWorlds(afterEach);

describe("a start that the host has no room for", () => {
  const reserved = (world: KeeperWorld, bytes: number) => {
    const id = RuntimeId.parse("otherother");
    const other = { id, poolKey: "another", slot: 0, generation: 1, containerName: "c", specHash: "h" };
    return world.rows.runtimes.create(other, { memoryBytes: bytes, budgetBytes: undefined });
  };

  it("fails calls with the arithmetic, does not count as a crash, and succeeds once there is room", async () => {
    const world = await aWorld();
    world.rows.addPool({ state: "starting" });
    const other = await reserved(world, 60 * MIB);
    const { directory } = await world.start({}, FULL);
    anInstallation(world);
    // Longer than the ends of a crash loop take.
    await world.clock.advance(20_000, 500);
    await world.clock.until(() => world.rows.pool().state === "backoff");
    await expect(directory.wait(KEY, never)).rejects.toMatchObject({
      code: "plugin_not_ready",
      message: expect.stringMatching(/1 running plugins reserve 60 MiB of 150 MiB .* asks for 96 MiB/),
      details: { state: "backoff", cause: { code: "host_full" } },
    });
    expect(world.rows.runtimesOf()).toEqual([]);
    await world.rows.runtimes.end(other.id, { reason: "stopped" });
    await world.clock.until(() => world.rows.pool().state === "ready", 120_000);
    expect((await directory.wait(KEY, never)).id).toBe(world.current.id);
  });

  it("fails an install and leaves neither a row nor a container", async () => {
    const world = await aWorld();
    world.rows.addPool();
    await reserved(world, 60 * MIB);
    const { keeper } = await world.start({}, FULL);
    await expect(keeper.ensureReady(KEY, quietly, never)).rejects.toMatchObject({ code: "host_full" });
    expect(world.rows.runtimesOf()).toEqual([]);
  });
});
