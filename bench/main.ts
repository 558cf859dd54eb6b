/**
 * `npm run bench`: the bare plugin process over its own stdio beside the same plugin through both doors, in one run, as
 * one table. docs/bench.md says how each figure is taken. `--quick` is for work on the bench itself; `--peer` adds
 * another server that answers the daemon's API and has the plugin installed.
 */
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { cpus, loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { packFolder } from "../src/packages/archive/pack.ts";
import { childNamed } from "../test/harness/processes/child-named.ts";
import { type BareImage, BarePlugin, unpackImage } from "./bare.ts";
import { Berth, type Installed } from "./berth.ts";
import { type BerthLoad, daemonTarget, type HostLoad, type Load, load, type Target } from "./load.ts";
import { output, residentMb } from "./processes.ts";
import { median, medians, quantile } from "./statistics.ts";
import { formatTable, type Results } from "./table.ts";

const PLUGIN = join(import.meta.dirname, "plugin");
const CALLERS = [1, 8, 32] as const;
const DOORS = ["/v1", "Dify"] as const;

interface Effort {
  readonly rounds: number;
  readonly seconds: number;
  readonly warmUpSeconds: number;
  readonly firstEvents: number;
  readonly starts: number;
  readonly profile: boolean;
  readonly peer: Target | undefined;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      quick: { type: "boolean" },
      profile: { type: "boolean" },
      peer: { type: "string" },
      "peer-key": { type: "string" },
      "peer-tenant": { type: "string" },
    },
  });
  if (process.getuid?.() !== 0) throw new Error("the bare plugin starts with chroot; run this as root");
  await output("which", ["wrk"]).catch(() => {
    throw new Error("wrk is missing: apt-get install wrk");
  });
  const { peer: url, "peer-key": key = "", "peer-tenant": tenant = "" } = values;
  const asked = {
    profile: values.profile === true,
    peer: url === undefined ? undefined : daemonTarget({ url: url.replace(/\/+$/, ""), key, tenant }),
  };
  const effort: Effort =
    values.quick === true
      ? { rounds: 1, seconds: 1, warmUpSeconds: 1, firstEvents: 100, starts: 1, ...asked }
      : { rounds: 3, seconds: 2, warmUpSeconds: 2, firstEvents: 500, starts: 3, ...asked };
  const folder = await mkdtemp(join(tmpdir(), "berth-bench-"));
  const before = loadavg()[0] ?? 0;
  try {
    const results = await measure(folder, effort);
    process.stdout.write(
      `\n${cpus().length} cores (${cpus()[0]?.model.trim()}), Node ${process.version}, load average before the run ` +
        `${before.toFixed(1)}; medians of ${effort.rounds} rounds of ${effort.seconds} s\n\n${formatTable(results)}\n`,
    );
  } finally {
    await rm(folder, { recursive: true, force: true, maxRetries: 3 });
  }
}

async function measure(folder: string, effort: Effort): Promise<Results> {
  say("starting Berth on an empty data folder");
  const profileArgs = ["--cpu-prof", "--cpu-prof-dir", join(tmpdir(), "berth-profile")];
  await using berth = await Berth.start(folder, effort.profile ? profileArgs : []);
  const idleMb = residentMb(berth.pid);
  say("installing: cold cache");
  const first = await berth.upload(await packVariant(folder, 0));
  const cold = await berth.install(first);
  const image = await unpackImage(await berth.container(cold), join(folder, "root"));
  const loads = await measureLoads(berth, cold, image, effort);
  const memory = await measureMemory(berth, cold);
  const installs = await measureInstalls(berth, folder, first, effort);
  say("a plugin that hangs");
  const hungMs = await berth.replaceHung(cold);
  const bareStarts: number[] = [];
  for (let i = 0; i < effort.starts; i++) {
    await using bare = await BarePlugin.start(image);
    bareStarts.push(bare.startMs);
  }
  const failures = await berth.failures();
  // Calls that failed while no plugin ran are part of the restart's figure.
  const unexpected = failures.filter((line) => !/"code":"plugin_(not_ready|crashed|unhealthy)"/.test(line));
  if (unexpected.length > 0) throw new Error(`Berth logged failures:\n${unexpected.slice(0, 5).join("\n")}`);
  return {
    ...loads,
    ...installs,
    hungMs,
    wakeMs: await measureWakes(folder, effort),
    coldMs: cold.totalMs,
    bareStartMs: median(bareStarts),
    memory: { ...memory, idle: idleMb },
    berthStartMs: berth.startMs,
  };
}

/** All take turns, so that changes of the machine's speed affect all. */
async function measureLoads(berth: Berth, installed: Installed, image: BareImage, effort: Effort) {
  await using bare = await BarePlugin.start(image);
  say("warming up");
  const warmUp = { callers: 32, seconds: effort.warmUpSeconds };
  await bare.load(warmUp.callers, warmUp.seconds);
  for (const door of DOORS) await berth.load(installed, { door, ...warmUp });
  if (effort.peer !== undefined) await load(effort.peer, warmUp);
  const rounds = CALLERS.map((callers) => ({
    callers,
    bare: [] as Load[],
    "/v1": [] as BerthLoad[],
    Dify: [] as BerthLoad[],
    peer: [] as HostLoad[],
  }));
  for (let round = 1; round <= effort.rounds; round++) {
    say(`round ${round} of ${effort.rounds}: all in turn at ${CALLERS.join(", ")} callers`);
    for (const of of rounds) {
      const how = { callers: of.callers, seconds: effort.seconds };
      of.bare.push(await bare.load(how.callers, how.seconds));
      for (const door of DOORS) of[door].push(await berth.load(installed, { door, ...how }));
      if (effort.peer !== undefined) of.peer.push(await load(effort.peer, how));
    }
  }
  say("first events");
  const bareEvents = await bare.firstEvents(effort.firstEvents);
  const berthEvents = await berth.firstEvents(installed, effort.firstEvents);
  return {
    loads: rounds.map((of) => ({
      callers: of.callers,
      bare: medians(of.bare),
      berth: medians(of["/v1"]),
      dify: medians(of.Dify),
      ...(of.peer.length > 0 && { peer: medians(of.peer) }),
    })),
    firstEvent: {
      bare: { p50: quantile(bareEvents, 0.5), p99: quantile(bareEvents, 0.99) },
      berth: { p50: quantile(berthEvents, 0.5), p99: quantile(berthEvents, 0.99) },
    },
    bareMb: residentMb(bare.pid),
  };
}

async function measureMemory(berth: Berth, installed: Installed) {
  const { shim, init, runner, plugin } = await berth.processes(installed);
  const redis = childNamed(berth.pid, "redis-server");
  return {
    host: residentMb(berth.pid),
    redis: redis === undefined ? 0 : residentMb(redis),
    plugin: residentMb(plugin),
    runner: residentMb(runner),
    initAndShim: residentMb(init) + residentMb(shim),
  };
}

/**
 * Cached wheels: another dependency layer from the same wheels. New version: other files on the same layer. Second
 * tenant: the image exists. Each second tenant then loses its plugin once, which is always a first crash.
 */
async function measureInstalls(berth: Berth, folder: string, first: string, effort: Effort) {
  const cached: number[] = [];
  const tenants: Installed[] = [];
  const starts: number[] = [];
  const restarts: number[] = [];
  for (let i = 1; i <= effort.starts; i++) {
    say(`installing: cached wheels, then a second tenant (${i} of ${effort.starts})`);
    const other = await berth.install(await berth.upload(await packVariant(folder, i)));
    cached.push(other.totalMs);
    await berth.uninstall(other);
    const tenant = await berth.install(first);
    tenants.push(tenant);
    starts.push(tenant.startMs);
    restarts.push(await berth.restart(tenant));
    await berth.uninstall(tenant);
  }
  return {
    cachedMs: median(cached),
    secondTenantMs: median(tenants.map(({ totalMs }) => totalMs)),
    startMs: median(starts),
    restartMs: median(restarts),
  };
}

/** Measured on a Berth with a short idle stop and its own data folder. */
async function measureWakes(folder: string, effort: Effort): Promise<number> {
  await using berth = await Berth.start(await mkdtemp(join(folder, "idle-")), [], {
    BERTH_IDLE_STOP_SECONDS: "2",
    BERTH_RECONCILE_SECONDS: "1",
  });
  const installed = await berth.install(await berth.upload(join(folder, "0.difypkg")));
  const wakes: number[] = [];
  for (let i = 1; i <= effort.starts; i++) {
    say(`a plugin that is stopped as idle (${i} of ${effort.starts})`);
    wakes.push(await berth.wake(installed));
  }
  return median(wakes);
}

/** Version 0.0.N of the plugin; another lower bound resolves to the same wheels under another lock. */
async function packVariant(folder: string, variant: number): Promise<string> {
  const source = join(folder, `plugin-${variant}`);
  await cp(PLUGIN, source, { recursive: true });
  const edit = async (file: string, from: string, to: string) => {
    const text = await readFile(join(source, file), "utf8");
    if (!text.includes(from)) throw new Error(`${file} does not contain ${from}`);
    await writeFile(join(source, file), text.replace(from, to));
  };
  await edit("manifest.yaml", "version: 0.0.1", `version: 0.0.${variant + 1}`);
  await edit("requirements.txt", ">=0.7.4", `>=0.7.${4 - variant}`);
  const { output: file } = await packFolder({ folder: source, output: join(folder, `${variant}.difypkg`) });
  return file;
}

function say(text: string): void {
  process.stderr.write(`bench: ${text} (${Math.round(process.uptime())} s)\n`);
}

await main();
