/** Containers with Berth's labels that no row knows. */
import { afterEach, describe, expect, it } from "vitest";
import { type KeeperWorld, keeperWorlds } from "../../../test/harness/rigs/keeper-world.ts";
import { formatLabels } from "../../engine/labels.ts";

const never = new AbortController().signal;

const aWorld = keeperWorlds(afterEach);

describe("orphaned containers", () => {
  const labels = formatLabels({ instance: "testtest", kind: "runtime", runtime: "aaaaaaaaaa", pool: "gone" });
  const orphan = async (world: KeeperWorld) => {
    await world.engine.createContainer({ ...specOf(world), name: "orphan", labels }, never);
    const build = formatLabels({ instance: "testtest", kind: "build" });
    await world.engine.createContainer({ ...specOf(world), name: "a-build", labels: build }, never);
  };
  const specOf = (world: KeeperWorld) => world.engine.specOf(world.current.containerId ?? "");
  const names = async (world: KeeperWorld) =>
    (await world.engine.listContainers({}, never))
      .map(({ name }) => name)
      .filter((name) => !name.startsWith("berth-"));

  it("are removed after the grace period; containers of builds stay", async () => {
    const world = await aWorld();
    await world.ready();
    await orphan(world);
    await world.clock.advance(59_000, 500);
    expect(await names(world)).toEqual(["orphan", "a-build"]);
    await world.clock.until(() => world.engine.count("remove") > 0, 200_000);
    expect(await names(world)).toEqual(["a-build"]);
    expect(world.rows.pool().state).toBe("ready");
  });

  it("stay while the Store does not answer", async () => {
    const world = await aWorld();
    await world.ready();
    await orphan(world);
    await world.clock.advance(31_000, 500);
    world.rows.unavailable(true);
    await world.clock.advance(200_000, 500);
    expect(await names(world)).toContain("orphan");
    world.rows.unavailable(false);
    await world.clock.until(() => world.engine.count("remove") > 0, 200_000);
    expect(await names(world)).toEqual(["a-build"]);
  });
});
