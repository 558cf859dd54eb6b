/** Each attack alone, then all at once, beside a sibling under steady load: it hurts the attacker and nobody else. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { uninstall } from "../harness/clients/client.ts";
import type { Load } from "../harness/clients/load.ts";
import {
  type Attack,
  type Attacker,
  type HostileSite,
  installAttackers,
  openHostileSite,
  processesIn,
  servesAgain,
  tracesOfPlugins,
} from "../harness/rigs/hostile.ts";
import { ATTACKS } from "./attacks.ts";

/** What Berth may hold more after all attacks than before them, garbage left out. */
const MEMORY_BYTES_MAX = 150 << 20;

const INSTALLS_AT_ONCE = 6;

/** On a machine that has more to do than this. */
const ALL_MS_MAX = 600_000;

let hostile: HostileSite;
let memoryBefore: number;

let attackerOf: (attack: Attack) => Attacker;
beforeAll(async () => {
  hostile = await openHostileSite();
  await hostile.askSibling(20);
  memoryBefore = await hostile.liveMemory();
  attackerOf = await installAttackers(hostile, ATTACKS, { atOnce: INSTALLS_AT_ONCE });
});
afterAll(() => hostile[Symbol.asyncDispose]());

/**
 * The sibling and `/health` are asked all the time; some answers come when all is over. An attack that is over sooner
 * than they can answer is repeated.
 */
async function beside(work: () => Promise<void>): Promise<void> {
  const watched = hostile.watch();
  await hostile.askSibling(3);
  const began = performance.now();
  try {
    do await work();
    while (!answered(watched.sibling, began) || !answered(watched.health, began));
  } finally {
    await hostile.askSibling(3);
    await watched.stop();
  }
  expect(watched.sibling.failures).toEqual([]);
  expect(watched.health.failures).toEqual([]);
}

/** Whether a few calls began after that time, and have ended. */
function answered({ times }: Load, afterMs: number): boolean {
  return times.filter(({ beganMs }) => beganMs >= afterMs).length >= 3;
}

test.each(ATTACKS)("$name harms only the attacker, which serves again", async (one) => {
  await beside(async () => {
    await one.run(attackerOf(one), hostile);
    await servesAgain(hostile.berth, attackerOf(one));
  });
});

test("all attackers at once harm only themselves, and serve again", {
  timeout: ALL_MS_MAX,
}, async () => {
  // What one attacker has to do it does in turn. How its calls end is said above: here another end may come first.
  const together = ATTACKS.filter(({ onlyAlone }) => onlyAlone === undefined);
  const all = [...Map.groupBy(together, attackerOf)];
  await beside(async () => {
    await Promise.all(
      all.map(async ([attacker, attacks]) => {
        for (const one of attacks) await one.run(attacker, hostile).catch(() => undefined);
        await servesAgain(hostile.berth, attacker);
      }),
    );
  });
});

test("the attackers leave nothing behind when they are uninstalled", async () => {
  const { site, berth, sibling } = hostile;
  const ids = (await site.containers())
    .filter(({ labels }) => labels["berth.tenant"] !== sibling.tenant)
    .map(({ id }) => id);
  await Promise.all([...new Set(ATTACKS.map(attackerOf))].map((attacker) => uninstall(berth, attacker)));
  expect(await tracesOfPlugins(site)).toEqual({ containers: [sibling.tenant], runtimes: 1 });
  expect(await processesIn(ids)).toEqual([]);
  expect((await hostile.liveMemory()) - memoryBefore).toBeLessThan(MEMORY_BYTES_MAX);
});
