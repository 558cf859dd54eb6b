/** The figures as one Markdown table: bare, Berth's two doors, another server where given, and the targets. */
import type { BerthLoad, HostLoad, Load } from "./load.ts";

interface Quantiles {
  readonly p50: number;
  readonly p99: number;
}

export interface Results {
  readonly loads: readonly {
    readonly callers: number;
    readonly bare: Load;
    /** Through `/v1`. */
    readonly berth: BerthLoad;
    readonly dify: BerthLoad;
    readonly peer?: HostLoad;
  }[];
  readonly firstEvent: { readonly bare: Quantiles; readonly berth: Quantiles };
  readonly bareStartMs: number;
  readonly bareMb: number;
  readonly berthStartMs: number;
  readonly startMs: number;
  readonly coldMs: number;
  readonly cachedMs: number;
  readonly secondTenantMs: number;
  readonly restartMs: number;
  readonly wakeMs: number;
  readonly hungMs: number;
  readonly memory: Readonly<Record<"idle" | "host" | "redis" | "plugin" | "runner" | "initAndShim", number>>;
}

/** Columns without a figure are left out. */
interface Row {
  readonly measure: string;
  readonly bare?: string;
  readonly berth?: string;
  readonly dify?: string;
  readonly peer?: string;
  readonly seed?: string;
  readonly aim?: string;
}

const COLUMNS = ["measure", "bare", "berth", "dify", "peer", "seed", "aim"] as const satisfies (keyof Row)[];

export function formatTable(results: Results): string {
  const head: Row = {
    measure: "measure",
    bare: "bare",
    berth: "Berth, /v1",
    dify: "Berth, Dify door",
    peer: "the peer",
    seed: "seed asks",
    aim: "aim",
  };
  const rows = [...loadRows(results), ...lifeRows(results), ...costRows(results)];
  const columns = COLUMNS.filter((column) => rows.some((row) => row[column] !== undefined));
  return formatColumns([head, ...rows].map((row) => columns.map((column) => row[column] ?? "")));
}

/** The first row is the header. */
export function formatColumns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  const ruled = line(widths.map((width) => "-".repeat(width)));
  const [first, ...others] = rows.map(line);
  return [first, ruled, ...others].join("\n");
}

function loadRows({ loads, firstEvent }: Results): Row[] {
  const rows = loads.flatMap(({ callers, bare, berth, dify, peer }): Row[] => {
    const who = callers === 1 ? "1 caller" : `${callers} callers`;
    const isOne = callers === 1;
    return [
      {
        measure: `call p50 / p99, ${who}`,
        bare: pair(bare),
        berth: pair(berth),
        dify: pair(dify),
        ...(peer && { peer: pair(peer) }),
        ...(isOne && { seed: "P50 ≤ 200 ms", aim: "p50 ≤ 0.6 ms, p99 ≤ 5 ms" }),
      },
      {
        measure: `throughput, ${who}`,
        bare: rate(bare),
        berth: rate(berth),
        dify: rate(dify),
        ...(peer && { peer: rate(peer) }),
        ...(isOne && { seed: "10/s" }),
        ...(callers === 32 && { aim: "≥ 6,700/s" }),
      },
    ];
  });
  const { bare, berth } = firstEvent;
  const measure = "first event after the plugin made it, p50 / p99";
  return [...rows, { measure, bare: pair(bare), berth: pair(berth), aim: "p99 ≤ 5 ms" }];
}

function lifeRows(of: Results): Row[] {
  return [
    {
      measure: "plugin: start to ready",
      bare: seconds(of.bareStartMs),
      berth: seconds(of.startMs),
      seed: "< 3 s",
      aim: "≤ 1 s",
    },
    { measure: "plugin: kill to next answer", berth: seconds(of.restartMs), seed: "< 5 s", aim: "≤ 5 s" },
    { measure: "plugin: call after an idle stop", berth: seconds(of.wakeMs), aim: "≤ 1.2 s" },
    { measure: "plugin: hung to next answer", berth: seconds(of.hungMs), aim: "≤ 35 s" },
    { measure: "install: cold cache (downloads)", berth: seconds(of.coldMs) },
    { measure: "install: cached wheels", berth: seconds(of.cachedMs), aim: "≤ 3 s" },
    { measure: "install: second tenant", berth: seconds(of.secondTenantMs), aim: "≤ 1.2 s" },
    { measure: "Berth: start on an empty data folder", berth: seconds(of.berthStartMs) },
  ];
}

function costRows({ loads, memory, bareMb }: Results): Row[] {
  const most = loads.at(-1);
  const micros = (value: number | undefined) => `${Math.round(value ?? Number.NaN)} µs`;
  const [berth, dify] = [most?.berth, most?.dify];
  return [
    {
      measure: `CPU a call at ${most?.callers} callers: host`,
      berth: micros(berth?.hostMicros),
      dify: micros(dify?.hostMicros),
      aim: "≤ 80 µs",
    },
    {
      measure: "… runner",
      berth: micros(berth?.runnerMicros),
      dify: micros(dify?.runnerMicros),
      aim: "25 µs",
    },
    {
      measure: "… plugin",
      bare: micros(most?.bare.pluginMicros),
      berth: micros(berth?.pluginMicros),
      dify: micros(dify?.pluginMicros),
      aim: "120 µs",
    },
    {
      measure: "resident: host, started / after the load",
      berth: `${mb(memory.idle)} / ${mb(memory.host)}`,
      seed: "256 MB",
      aim: "≤ 550 MB",
    },
    { measure: "… its redis-server", berth: mb(memory.redis) },
    { measure: "… plugin after the load", bare: mb(bareMb), berth: mb(memory.plugin), seed: "256 MB" },
    {
      measure: "… beside each plugin: runner + init and shim",
      berth: `${mb(memory.runner)} + ${mb(memory.initAndShim)}`,
      aim: "≤ 15 MB",
    },
  ];
}

function pair({ p50, p99 }: Quantiles): string {
  return `${p50.toFixed(2)} / ${p99.toFixed(2)} ms`;
}

function rate({ perSecond }: HostLoad): string {
  return `${Math.round(perSecond).toLocaleString("en")}/s`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}

function mb(value: number): string {
  return `${Math.round(value)} MB`;
}
