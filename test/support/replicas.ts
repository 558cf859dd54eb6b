/** What tests of pools with several runtimes share. */

import type { RuntimeRecord } from "../../src/domain/runtime.ts";
import { aPool } from "../harness/builders/a-pool.ts";
import type { KeeperWorld } from "../harness/rigs/keeper-world.ts";

export const KEY = aPool().key;
export const TWO = { sharedReplicas: { min: 2, max: 2 } };

export function liveRuntimes(world: KeeperWorld): readonly RuntimeRecord[] {
  return world.rows.runtimesOf().filter(({ state }) => state !== "ended");
}

/** Those that are ready, by slot. */
export function servingRuntimes(world: KeeperWorld): readonly RuntimeRecord[] {
  return liveRuntimes(world)
    .filter(({ state }) => state === "ready")
    .toSorted((a, b) => a.slot - b.slot);
}

export function servingSlots(world: KeeperWorld): readonly number[] {
  return servingRuntimes(world).map(({ slot }) => slot);
}

export function crashRuntime(world: KeeperWorld, { containerId = "" }: RuntimeRecord, exitCode = 1): void {
  world.engine.crash(containerId, { exitCode });
}

export function linkOf(world: KeeperWorld, { id }: Pick<RuntimeRecord, "id">) {
  const link = world.transport.links.get(id);
  if (link === undefined) throw new Error("no link");
  return link;
}

/** The two that serve. */
export function servingPair(world: KeeperWorld): readonly [RuntimeRecord, RuntimeRecord] {
  const [first, second] = servingRuntimes(world);
  if (first === undefined || second === undefined) throw new Error("fewer than two serve");
  return [first, second];
}

/** A pool of which two serve. */
export async function startTwo(world: KeeperWorld, more: Parameters<KeeperWorld["ready"]>[0] = {}) {
  const parts = await world.ready({ ...TWO, ...more });
  await world.clock.until(() => servingRuntimes(world).length === 2);
  return parts;
}
