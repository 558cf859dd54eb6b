/** What tests of pools with several runtimes read and do. */
import type { RuntimeRecord } from "../../../src/domain/runtime.ts";
import type { KeeperWorld } from "./keeper-world.ts";

export const TWO = { sharedReplicas: { min: 2, max: 2 } };

export const live = (world: KeeperWorld) => world.rows.runtimesOf().filter(({ state }) => state !== "ended");

export const serving = (world: KeeperWorld) =>
  live(world)
    .filter(({ state }) => state === "ready")
    .toSorted((a, b) => a.slot - b.slot);

export const slots = (world: KeeperWorld) => serving(world).map(({ slot }) => slot);

export const crash = (world: KeeperWorld, { containerId = "" }: RuntimeRecord, exitCode = 1) =>
  world.engine.crash(containerId, { exitCode });

export const linkOf = (world: KeeperWorld, { id }: Pick<RuntimeRecord, "id">) => {
  const link = world.transport.links.get(id);
  if (link === undefined) throw new Error("no link");
  return link;
};

export function pair(world: KeeperWorld): readonly [RuntimeRecord, RuntimeRecord] {
  const [first, second] = serving(world);
  if (first === undefined || second === undefined) throw new Error("fewer than two serve");
  return [first, second];
}

export async function two(world: KeeperWorld, more: Parameters<KeeperWorld["ready"]>[0] = {}) {
  const parts = await world.ready({ ...TWO, ...more });
  await world.clock.until(() => serving(world).length === 2);
  return parts;
}
