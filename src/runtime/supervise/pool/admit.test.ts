import { afterEach, describe, expect, it } from "vitest";
import { type KeeperWorld, keeperWorlds } from "../../../../test/harness/rigs/keeper-world.ts";

const aWorld = keeperWorlds(afterEach);

describe("a health check", () => {
  const linkOf = (world: KeeperWorld) => {
    const link = world.transport.links.get(world.current.id);
    if (link === undefined) throw new Error("no link");
    return link;
  };
  const answer = { alive: true, heartbeatAgeMs: 0, residentBytes: 0, oomKills: 0, openSessions: 0 };
  const silence = () => Promise.reject(new Error("silence"));

  it("that fails is shown at once; three failures a second apart replace the runtime", async () => {
    const world = await aWorld();
    await world.ready();
    const { id } = world.current;
    linkOf(world).health = silence;
    await world.clock.until(() => world.rows.pool().cause?.code === "plugin_not_ready", 31_000);
    expect(world.current.id).toBe(id);
    await world.clock.until(() => world.rows.runtimeRows.get(id)?.end?.reason === "unhealthy", 5_000);
    await world.clock.until(() => world.current.id !== id && world.rows.pool().state === "ready");
  });

  it("that ends a runtime gives its calls the reason before the kill", async () => {
    const world = await aWorld();
    await world.ready({ crashesMax: 1 });
    const { id } = world.current;
    const link = linkOf(world);
    link.health = silence;
    await world.clock.until(() => world.rows.pool().state === "crash_loop", 31_000);
    expect(link.exit).toMatchObject({ exitCode: undefined, hung: "silence" });
    expect(world.rows.pool().cause).toMatchObject({
      code: "plugin_unhealthy",
      message: "The plugin did not pass its health checks (silence). Berth ended its container.",
    });
    expect(world.rows.runtimeRows.get(id)?.end).toMatchObject({ reason: "unhealthy", exitCode: 137 });
  });

  it("accepts a late answer: it proves that the runner lives", async () => {
    const world = await aWorld();
    await world.ready();
    const { id } = world.current;
    const late = Promise.withResolvers<typeof answer>();
    linkOf(world).health = () => late.promise;
    await world.clock.until(() => world.rows.pool().cause?.code === "plugin_not_ready", 31_000);
    linkOf(world).health = async () => answer;
    late.resolve(answer);
    await world.clock.until(() => world.rows.pool().cause === undefined);
    await world.clock.advance(60_000, 500);
    expect(world.current.id).toBe(id);
  });

  it("replaces nothing on a host under pressure until the patience is over", async () => {
    const world = await aWorld();
    const readPressure = async () => world.clock.now() * 1_000;
    await world.ready({ healthPatienceMs: 100_000 }, { readPressure });
    const { id } = world.current;
    linkOf(world).health = silence;
    await world.clock.until(() => /because work waited/.test(world.rows.pool().cause?.message ?? ""), 31_000);
    await world.clock.advance(80_000, 500);
    expect(world.current.id).toBe(id);
    await world.clock.until(() => world.rows.runtimeRows.get(id)?.end?.reason === "unhealthy", 60_000);
  });

  it("replaces nothing after Berth itself was suspended", async () => {
    const world = await aWorld();
    await world.ready({ leaseMs: 3_600_000 });
    const { id } = world.current;
    const link = linkOf(world);
    let isFrozen = false;
    link.health = () => (isFrozen ? silence() : Promise.resolve(answer));
    await world.clock.advance(10_000, 500);
    isFrozen = true;
    for (let minute = 0; minute < 10; minute += 1) await world.clock.advance(60_000, 60_000);
    isFrozen = false;
    await world.clock.advance(60_000, 500);
    expect(world.current.id).toBe(id);
  });

  it("fails for a stopped process, and for an idle plugin whose heartbeat stopped", async () => {
    for (const sign of [{ stopped: true }, { heartbeatAgeMs: 26_000 }]) {
      const world = await aWorld();
      await world.ready();
      const { id } = world.current;
      linkOf(world).health = async () => ({ ...answer, ...sign });
      await world.clock.until(() => world.rows.runtimeRows.get(id)?.end?.reason === "unhealthy", 35_000);
    }
  });

  it("gives a plugin that answers a call two minutes without a heartbeat", async () => {
    const world = await aWorld();
    await world.ready();
    const { id } = world.current;
    linkOf(world).health = async () => ({ ...answer, heartbeatAgeMs: 110_000, openSessions: 1 });
    await world.clock.advance(60_000, 500);
    expect(world.current.id).toBe(id);
    linkOf(world).health = async () => ({ ...answer, heartbeatAgeMs: 121_000, openSessions: 1 });
    await world.clock.until(() => world.rows.runtimeRows.get(id)?.end?.reason === "unhealthy", 35_000);
  });
});
