/**
 * `npm run bench:hostile-peer -- --container NAME --url URL --key KEY`: what a plugin's attacks cost another plugin in
 * Berth and in a dify-plugin-daemon, in turn, with the same two packages over the same API; then what a `kill -9` costs.
 * The daemon is in that stopped container of the local Docker Engine: docs/hostile.md says how to create it. Run as
 * root, with nothing else running. `--only PATTERN` selects attacks by name.
 */
import { randomUUID } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";
import { packPlugin } from "../test/harness/clients/client.ts";
import { startLoadOf } from "../test/harness/clients/load.ts";
import { type Call, callTool, install, uninstallAll } from "./dify-door.ts";
import { ATTACKS, type Attack } from "./peer-attacks.ts";
import {
  type Figures,
  formatKills,
  formatRows,
  type Kills,
  type Left,
  type Memory,
  type Row,
  thingsIn,
} from "./peer-table.ts";
import { cpuMicros, residentMb, threadsOf } from "./processes.ts";
import { BerthSide, PeerSide, type Side, type Whose } from "./sides.ts";
import { median, quantile } from "./statistics.ts";

const CALLS_PER_SECOND = 40;
const MS_ALONE = 6_000;
const MS_EACH = 3_000;
/** The time that both hosts grant a call, each by its own setting. */
const CALL_SECONDS_MAX = 8;
/** The sibling's callers wait no longer. */
const SIBLING_MS_MAX = 5_000;
const ATTACK_MS_MAX = 10_000;
const PROBE_MS_MAX = 2_000;
const SERVES_AGAIN_MS_MAX = 30_000;
const SETTLED_MS_MAX = 4_000;
const STARTED_MS_MAX = 120_000;
const KILLS = 3;

const ATTACKER = "berth-tests/hostile";
const SIBLING = "berth-tests/echo";

type Packages = Readonly<Record<"sibling" | "attacker", Uint8Array>>;

/** A side with the tenants that have the sibling and an attacker. */
interface Seat {
  readonly side: Side;
  readonly sibling: string;
  readonly attacker: string;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      container: { type: "string" },
      url: { type: "string" },
      key: { type: "string" },
      only: { type: "string" },
    },
  });
  const { container, url, key, only } = values;
  if (container === undefined || url === undefined || key === undefined)
    throw new Error("give --container, --url and --key of a dify-plugin-daemon");
  const packages = {
    sibling: (await packPlugin("echo")).bytes,
    attacker: (await packPlugin("hostile")).bytes,
  };
  const folder = await mkdtemp(join(tmpdir(), "berth-bench-"));
  try {
    await using peer = new PeerSide({ container, door: { url: url.replace(/\/+$/, ""), key } });
    await peer.start();
    await using berth = await BerthSide.open(folder, { BERTH_PLUGIN_SECONDS_MAX: String(CALL_SECONDS_MAX) });
    const seats: Seat[] = [];
    for (const side of [berth, peer]) seats.push(await seat(side, packages));
    const names = seats.map(({ side }) => side.name);
    const memory = await Promise.all(seats.map((one) => measureMemory(one)));
    const alone = await inTurn(seats, aloneOf);
    say("alone", alone);
    const attacks = ATTACKS.filter(({ name }) => new RegExp(only ?? "").test(name));
    const rows: (readonly [Attack, readonly Row[]])[] = [];
    for (const attack of attacks) {
      const row = await inTurn(seats, (one) => underAttack(one, attack, packages));
      say(attack.name, row);
      rows.push([attack, row]);
    }
    const again = await inTurn(seats, aloneOf);
    say("alone again", again);
    process.stdout.write(
      `\n${cpus().length} cores (${cpus()[0]?.model.trim()}), Node ${process.version}\n\n` +
        `${formatRows(names, { alone, rows, again })}\n`,
    );
    if (only !== undefined) return;
    const kills = await inTurn(seats, (one) => measureKills(one, packages));
    process.stdout.write(`\n${formatKills(names, { memory, kills })}\n`);
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

/** One after the other; the daemon runs only in its turn, so that its leftovers cost Berth nothing. */
async function inTurn<T>(seats: readonly Seat[], work: (seat: Seat) => Promise<T>): Promise<readonly T[]> {
  const results: T[] = [];
  for (const one of seats) {
    const isPeer = one.side instanceof PeerSide;
    if (isPeer) await startAfresh(one);
    results.push(await work(one));
    if (isPeer) await one.side.kill();
  }
  return results;
}

async function startAfresh({ side, sibling, attacker }: Seat): Promise<void> {
  await side.kill();
  await side.start();
  await bothServe({ side, sibling, attacker });
}

async function bothServe({ side, sibling, attacker }: Seat): Promise<void> {
  for (const call of [siblingCall(sibling), attackerCall(attacker)])
    if ((await untilServes(side, call, STARTED_MS_MAX)) === undefined)
      throw new Error(`${side.name} does not serve ${call.plugin}`);
}

async function seat(side: Side, packages: Packages): Promise<Seat> {
  const one = { side, sibling: randomUUID(), attacker: randomUUID() };
  say(`${side.name}: installing`);
  await untilListens(side);
  await install(side.door, one.sibling, packages.sibling);
  await install(side.door, one.attacker, packages.attacker);
  await bothServe(one);
  return one;
}

async function untilListens({ name, door }: Side): Promise<void> {
  const until = performance.now() + STARTED_MS_MAX;
  while (performance.now() < until) {
    const isThere = await fetch(`${door.url}/health/check`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (isThere) return;
    await delay(50);
  }
  throw new Error(`${name} does not listen at ${door.url}`);
}

function siblingCall(tenant: string): Call {
  return { tenant, plugin: SIBLING, tool: "echo", parameters: { text: "still here" } };
}

function attackerCall(
  tenant: string,
  { attack, parameters }: Omit<Attack, "name"> = { attack: "none" },
): Call {
  return { tenant, plugin: ATTACKER, tool: "attack", parameters: { attack, ...parameters } };
}

async function aloneOf(one: Seat): Promise<Figures> {
  for (let i = 0; i < CALLS_PER_SECOND; i++)
    await callTool(one.side.door, siblingCall(one.sibling), SIBLING_MS_MAX);
  const watched = watch(one);
  await delay(MS_ALONE);
  return await watched();
}

interface Sample {
  readonly beganMs: number;
  readonly endedMs: number;
  readonly ok: boolean;
}

/** Calls the sibling from now on; the returned function stops that. */
function watch(one: Seat, samples: Sample[] = []): () => Promise<Figures> {
  const whys: string[] = [];
  const load = startLoadOf(async () => {
    const beganMs = performance.now();
    const { ok, said } = await callTool(one.side.door, siblingCall(one.sibling), SIBLING_MS_MAX);
    const isRight = ok && said.includes("still here");
    samples.push({ beganMs, endedMs: performance.now(), ok: isRight });
    if (!isRight) whys.push(said);
  }, CALLS_PER_SECOND);
  return async () => {
    await load.stop();
    const took = samples.filter(({ ok }) => ok).map(({ beganMs, endedMs }) => endedMs - beganMs);
    const times = { p50: median(took), p99: quantile(took, 0.99) };
    return { ...times, calls: samples.length, failed: whys.length, why: mostOf(whys).slice(0, 300) };
  };
}

function mostOf(texts: readonly string[]): string {
  const counts = [...Map.groupBy(texts, (text) => text).entries()];
  return counts.toSorted(([, a], [, b]) => b.length - a.length)[0]?.[0] ?? "";
}

/** In Berth a new attacker for each attack, in the daemon a new process. */
async function underAttack(one: Seat, attack: Attack, { attacker }: Packages): Promise<Row> {
  const { side } = one;
  const isPeer = side instanceof PeerSide;
  const tenant = isPeer ? one.attacker : randomUUID();
  if (!isPeer) await install(side.door, tenant, attacker);
  const whose = { tenant, plugin: ATTACKER };
  await untilServes(side, attackerCall(tenant), SERVES_AGAIN_MS_MAX);
  const before = await leftOf(side, whose);
  const mbBefore = await hostMb(side);
  const watched = watch(one);
  const ended = await repeat(side, attackerCall(tenant, attack), attack.calls ?? 1);
  const figures = await watched();
  const servesAgain = await untilServes(side, attackerCall(tenant), SERVES_AGAIN_MS_MAX);
  const left = await settled(side, whose, before);
  const isAlive = (await side.hostPid()) !== undefined;
  const row = {
    ...figures,
    ...ended,
    hostMb: [mbBefore, await hostMb(side)] as const,
    isAlive,
    servesAgain,
    left,
  };
  if (!isPeer) await uninstallAll(side.door, tenant);
  return row;
}

/** Runs one attack after the other for a time, then waits for the end of the last one. */
async function repeat(
  { door }: Side,
  call: Call,
  calls: number,
): Promise<{ ends: readonly string[]; endS: number }> {
  const ends = new Set<string>();
  const start = performance.now();
  let endS: number | undefined;
  while (performance.now() - start < MS_EACH) {
    const began = performance.now();
    const answers = await Promise.all(
      Array.from({ length: calls }, () => callTool(door, call, ATTACK_MS_MAX)),
    );
    for (const { ok, said } of answers) ends.add(ok ? "answered" : reasonIn(said));
    endS ??= (performance.now() - began) / 1000;
    // A dead host refuses thousands of calls a second.
    if (performance.now() - began < 10) await delay(100);
  }
  return { ends: [...ends], endS: endS ?? 0 };
}

/** The innermost message of an error: errors contain errors in their messages, as JSON. */
function reasonIn(said: string): string {
  const at = said.lastIndexOf('{"code":');
  let text = at === -1 ? said : said.slice(at).trim();
  for (;;) {
    try {
      text = JSON.parse(text).message;
    } catch {
      return text.slice(0, 100);
    }
  }
}

/** Seconds until the call is answered; undefined where it is not in that time. */
async function untilServes(side: Side, call: Call, ms: number): Promise<number | undefined> {
  const began = performance.now();
  while (performance.now() - began < ms) {
    if ((await callTool(side.door, call, PROBE_MS_MAX)).ok) return (performance.now() - began) / 1000;
    await delay(50);
  }
  return undefined;
}

async function hostMb(side: Side): Promise<number> {
  const pid = await side.hostPid();
  return pid === undefined ? 0 : residentMb(pid);
}

/** What is left compared to before, as soon as that is nothing, or after a time. */
async function settled(side: Side, whose: Whose, before: Left): Promise<Left> {
  const until = performance.now() + SETTLED_MS_MAX;
  for (;;) {
    const { threads, cpus, mb } = await leftOf(side, whose);
    const left = { threads: threads - before.threads, cpus, mb: mb - before.mb };
    if (performance.now() > until || thingsIn(left).length === 0) return left;
  }
}

async function leftOf(side: Side, whose: Whose): Promise<Left> {
  const MS = 500;
  const pids = await side.pidsOf(whose).catch(() => []);
  const used = () => total(pids, cpuMicros);
  const before = used();
  await delay(MS);
  return {
    threads: total(pids, threadsOf),
    cpus: Math.max(0, used() - before) / (MS * 1000),
    mb: total(pids, residentMb),
  };
}

/** Ended processes count as nothing. */
function total(pids: readonly number[], of: (pid: number) => number): number {
  let sum = 0;
  for (const pid of pids) {
    try {
      sum += of(pid);
    } catch {}
  }
  return sum;
}

/** Memory of two idle plugins, of their host, and of a plugin with everything beside it. */
async function measureMemory({ side, sibling }: Seat): Promise<Memory> {
  const whose = { tenant: sibling, plugin: SIBLING };
  return {
    host: await hostMb(side),
    plugin: residentMb(await side.pluginPid(whose)),
    whole: total(await side.pidsOf(whose), residentMb),
  };
}

async function measureKills(one: Seat, packages: Packages): Promise<Kills> {
  const { side } = one;
  const host: number[] = [];
  for (let i = 0; i < KILLS; i++) {
    say(`${side.name}: kill of the host (${i + 1} of ${KILLS})`);
    await side.kill();
    const began = performance.now();
    await side.start();
    if ((await untilServes(side, siblingCall(one.sibling), STARTED_MS_MAX)) === undefined)
      throw new Error(`${side.name} does not serve after its start`);
    host.push((performance.now() - began) / 1000);
  }
  const plugin: Kills["plugin"][number][] = [];
  for (let i = 0; i < KILLS; i++) {
    say(`${side.name}: kill of the plugin (${i + 1} of ${KILLS})`);
    // Another tenant's each time, so that each is a first crash for Berth.
    const tenant = randomUUID();
    await install(side.door, tenant, packages.sibling);
    plugin.push(await killPlugin({ ...one, sibling: tenant }));
  }
  return { host, plugin };
}

/** Seconds from the kill to the first answer to a later call, and the failed calls until then. */
async function killPlugin(one: Seat): Promise<Kills["plugin"][number]> {
  const { side, sibling } = one;
  await untilServes(side, siblingCall(sibling), STARTED_MS_MAX);
  const samples: Sample[] = [];
  const watched = watch(one, samples);
  await delay(1_000);
  const pid = await side.pluginPid({ tenant: sibling, plugin: SIBLING });
  const killedMs = performance.now();
  process.kill(pid, "SIGKILL");
  const back = () => samples.find(({ ok, beganMs }) => ok && beganMs > killedMs);
  while (back() === undefined && performance.now() - killedMs < STARTED_MS_MAX) await delay(20);
  const first = back();
  const { failed } = await watched();
  return { failed, seconds: first === undefined ? undefined : (first.endedMs - killedMs) / 1000 };
}

function say(text: string, more?: unknown): void {
  const details = more === undefined ? "" : ` ${JSON.stringify(more)}`;
  process.stderr.write(`bench: ${text} (${Math.round(process.uptime())} s)${details}\n`);
}

await main();
