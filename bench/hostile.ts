/**
 * `node bench/hostile.ts`: what the attacks of `test/hostile` cost their sibling and Berth, each for the same time, then
 * all at once; and what the CPU weight of plugins does on full processors. As root, with nothing else running.
 * `--only WORD`, repeatable, selects the attacks whose names contain one of the words; `--profile DIR` writes a CPU
 * profile of Berth there.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { cpus, setPriority } from "node:os";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { change } from "../test/harness/clients/changes.ts";
import { accept, askTool, aTenant, follow, packPlugin, uninstall } from "../test/harness/clients/client.ts";
import type { Load } from "../test/harness/clients/load.ts";
import {
  type Attack,
  type Attacker,
  type HostileSite,
  installAttackers,
  openHostileSite,
  servesAgain,
} from "../test/harness/rigs/hostile.ts";
import { ATTACKS } from "../test/hostile/attacks.ts";
import { residentMb } from "./processes.ts";
import { median, quantile } from "./statistics.ts";
import { formatColumns } from "./table.ts";

const MS_EACH = 3_000;
const MS_ALL = 15_000;
const MS_ALONE = 10_000;
const CALLS_PER_SECOND = 40;
/** The period of the timer whose delay Node reports; it is part of each figure. */
const TIMER_MS = 10;

const HOST_LOOPS = 4;
const PLUGIN_LOOPS = 20;
const STARTS = 3;

interface Figures {
  readonly name: string;
  readonly p50: number;
  readonly p99: number;
  readonly failed: number;
  readonly healthMax: number;
  readonly heldMax: number;
  readonly residentBefore: number;
  readonly residentAfter: number;
  /** Attacks with an unexpected end; the bench continues. */
  readonly surprises: readonly string[];
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { only: { type: "string", multiple: true }, profile: { type: "string" } },
  });
  // This process stands for callers on other machines: they wait for Berth, not for a processor of this machine.
  setPriority(-5);
  const attacks = ATTACKS.filter(({ name }) => values.only?.some((word) => name.includes(word)) ?? true);
  const profile = values.profile === undefined ? "" : `--cpu-prof --cpu-prof-dir ${values.profile}`;
  await using hostile = await openHostileSite({ BERTH_PLUGIN_CPUS: "1", BERTH_LOG_LEVEL: "info" }, profile);
  await hostile.askSibling(200);
  const alone = await measure(hostile, "alone", MS_ALONE, idle);
  const rows: Figures[] = [alone];
  const liveBefore = await hostile.liveMemory();
  const attackers = await measureEach(hostile, attacks, rows);
  if (attackers.length > 1) {
    say("all at once");
    const groups = [...Map.groupBy(attackers, ([, attacker]) => attacker).values()];
    const all = (until: number) => Promise.all(groups.map((group) => repeat(hostile, group, until)));
    rows.push(await measure(hostile, "all at once", MS_ALL, async (until) => (await all(until)).flat()));
  }
  for (const attacker of new Set(attackers.map(([, one]) => one))) await uninstall(hostile.berth, attacker);
  rows.push(await measure(hostile, "alone again", MS_ALONE, idle));
  const liveAfter = await hostile.liveMemory();
  const mb = (bytes: number) => `${(bytes / 2 ** 20).toFixed(0)} MB`;
  process.stdout.write(
    `\n${cpus().length} cores (${cpus()[0]?.model.trim()}), Node ${process.version}; ${MS_EACH / 1000} s an attack\n\n` +
      `${formatAttacks(rows, alone)}\n\nIn use, without garbage: ${mb(liveBefore)} before, ${mb(liveAfter)} after.\n`,
  );
  for (const { name, surprises } of rows)
    for (const surprise of new Set(surprises)) process.stdout.write(`\n${name}: ${surprise}\n`);
  if (values.only === undefined) process.stdout.write(`\n${formatColumns(await measureWeights(hostile))}\n`);
  if (profile !== "") await hostile.berth.kill("SIGTERM");
}

async function measureEach(hostile: HostileSite, attacks: readonly Attack[], rows: Figures[]) {
  const attackerOf = await installAttackers(hostile, attacks, { atOnce: 2 });
  const attackers: [Attack, Attacker][] = attacks.map((attack) => [attack, attackerOf(attack)]);
  for (const [attack, attacker] of attackers) {
    say(attack.name);
    const run = (until: number) => repeat(hostile, [[attack, attacker]], until);
    rows.push(await measure(hostile, attack.name, MS_EACH, run));
    // A loop that outlives its call would distort the next figures.
    await change(hostile.berth, attacker, "restart");
    await servesAgain(hostile.berth, attacker);
  }
  return attackers;
}

/** Runs one attack after the other until then, and waits for the end of the last one. */
async function repeat(
  hostile: HostileSite,
  attacks: readonly (readonly [Attack, Attacker])[],
  until: number,
): Promise<readonly string[]> {
  const surprises: string[] = [];
  for (let at = 0; performance.now() < until; at++) {
    const [attack, attacker] = attacks[at % attacks.length] ?? [];
    if (attack === undefined || attacker === undefined) break;
    await attack
      .run(attacker, hostile)
      .catch((error: unknown) => surprises.push(`${attack.name}: ${String(error).slice(0, 500)}`));
  }
  return surprises;
}

/** Without attacks. */
async function idle(until: number): Promise<readonly string[]> {
  await delay(until - performance.now());
  return [];
}

async function measure(
  hostile: HostileSite,
  name: string,
  ms: number,
  work: (until: number) => Promise<readonly string[]>,
): Promise<Figures> {
  const { pid } = hostile.berth;
  const residentBefore = residentMb(pid);
  await heldMs(hostile);
  const watched = hostile.watch(CALLS_PER_SECOND);
  const surprises = await work(performance.now() + ms);
  await watched.stop();
  const { sibling, health } = watched;
  const took = tookMs(sibling);
  const figures = {
    name,
    p50: median(took),
    p99: quantile(took, 0.99),
    failed: sibling.failures.length + health.failures.length,
    healthMax: Math.max(...tookMs(health)),
    heldMax: await heldMs(hostile),
    residentBefore,
    residentAfter: residentMb(pid),
    surprises: [...surprises, ...sibling.failures, ...health.failures],
  };
  say(JSON.stringify(figures));
  return figures;
}

function tookMs({ times }: Load): number[] {
  return times.map(({ beganMs, endedMs }) => endedMs - beganMs);
}

/** The longest block of Berth's event loop since the last call. */
async function heldMs({ berth }: HostileSite): Promise<number> {
  const text = await (await fetch(new URL("/metrics", berth.url))).text();
  const seconds = /^nodejs_eventloop_lag_max_seconds (\S+)$/m.exec(text)?.[1];
  return Number(seconds) * 1000 - TIMER_MS;
}

function formatAttacks(rows: readonly Figures[], alone: Figures): string {
  const ms = (value: number) => `${value.toFixed(value < 10 ? 1 : 0)} ms`;
  const head = [
    "attack",
    "p50",
    "p99",
    "× alone",
    "failed",
    "/health at most",
    "loop blocked at most",
    "resident",
  ];
  return formatColumns([
    head,
    ...rows.map((row) => [
      row.name,
      ms(row.p50),
      ms(row.p99),
      (row.p99 / alone.p99).toFixed(1),
      String(row.failed),
      ms(row.healthMax),
      ms(row.heldMax),
      `${row.residentBefore.toFixed(0)} → ${row.residentAfter.toFixed(0)} MB`,
    ]),
  ]);
}

/** The start of a plugin beside busy processes of the host, and a sibling's calls beside busy plugins. */
async function measureWeights(hostile: HostileSite): Promise<string[][]> {
  say("starts");
  const echo = await packPlugin("echo");
  const startMs = async () => {
    const tenant = aTenant();
    const accepted = await accept(hostile.berth, echo, tenant);
    const events = await follow(hostile.berth, accepted);
    const at = (found: (typeof events)[number] | undefined) => Date.parse(found?.at ?? "");
    const took = at(events.at(-1)) - at(events.find(({ step }) => step === "starting"));
    await uninstall(hostile.berth, accepted);
    return took;
  };
  const starts = async () => {
    const took: number[] = [];
    for (let i = 0; i < STARTS; i++) took.push(await startMs());
    return median(took);
  };
  const startAlone = await starts();
  const loops = hostLoops();
  const startBeside = await starts().finally(() => {
    for (const loop of loops) loop.kill("SIGKILL");
  });
  say(`${PLUGIN_LOOPS} busy loops`);
  const alone = await measure(hostile, "", MS_ALONE, idle);
  const burners: Attacker[] = [];
  for (let i = 0; i < PLUGIN_LOOPS; i++) burners.push(await hostile.attacker());
  const calls = burners.map((burner) => fire(hostile, burner));
  const beside = await measure(hostile, "", MS_ALONE, idle);
  await Promise.all(burners.map((burner) => uninstall(hostile.berth, burner)));
  await Promise.all(calls);
  return [
    ["measure", "alone", "beside", "×"],
    [
      `start of a plugin beside ${HOST_LOOPS} busy processes of the host`,
      `${startAlone.toFixed(0)} ms`,
      `${startBeside.toFixed(0)} ms`,
      (startBeside / startAlone).toFixed(1),
    ],
    [
      `a sibling's p50 / p99 beside ${PLUGIN_LOOPS} plugins that loop`,
      `${alone.p50.toFixed(1)} / ${alone.p99.toFixed(1)} ms`,
      `${beside.p50.toFixed(1)} / ${beside.p99.toFixed(1)} ms`,
      (beside.p99 / alone.p99).toFixed(1),
    ],
  ];
}

/** Loops until the plugin is removed. */
async function fire({ berth }: HostileSite, burner: Attacker): Promise<void> {
  await askTool(berth, burner.call("busy_loop")).catch(() => undefined);
}

/** Each in its own session, with the host's default priority instead of the bench's. */
function hostLoops(): readonly ChildProcess[] {
  const loop = 'require("node:os").setPriority(0); for (;;);';
  return Array.from({ length: HOST_LOOPS }, () =>
    spawn(process.execPath, ["-e", loop], { stdio: "ignore", detached: true }),
  );
}

function say(text: string): void {
  process.stderr.write(`bench: ${text} (${Math.round(process.uptime())} s)\n`);
}

await main();
