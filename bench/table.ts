/** The figures as one Markdown table: bare, Berth, and what was asked for. */
import type { BerthLoad, Load } from "./load.ts";

interface Quantiles {
  readonly p50: number;
  readonly p99: number;
}

export interface Results {
  readonly loads: readonly { readonly callers: number; readonly bare: Load; readonly berth: BerthLoad }[];
  readonly firstEvent: { readonly bare: Quantiles; readonly berth: Quantiles };
  readonly bareStartMs: number;
  readonly bareMb: number;
  readonly berthStartMs: number;
  readonly startMs: number;
  readonly coldMs: number;
  readonly cachedMs: number;
  readonly secondTenantMs: number;
  readonly restartMs: number;
  readonly memory: Readonly<Record<"idle" | "host" | "redis" | "plugin" | "runner" | "initAndShim", number>>;
}

type Row = readonly [measure: string, bare: string, berth: string, seed: string, aim: string];

export function formatTable(results: Results): string {
  const head: Row = ["measure", "bare", "Berth", "seed asks", "aim"];
  const rows = [...loadRows(results), ...lifeRows(results), ...costRows(results)];
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]) =>
    `| ${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(" | ")} |`;
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map(line)].join("\n");
}

function loadRows({ loads, firstEvent }: Results): Row[] {
  const rows = loads.flatMap(({ callers, bare, berth }): Row[] => {
    const who = callers === 1 ? "1 caller" : `${callers} callers`;
    return [
      [
        `call p50 / p99, ${who}`,
        pair(bare),
        pair(berth),
        callers === 1 ? "P50 ≤ 200 ms" : "",
        callers === 1 ? "p50 ≤ 0.6 ms, p99 ≤ 5 ms" : "",
      ],
      [
        `throughput, ${who}`,
        rate(bare),
        rate(berth),
        callers === 1 ? "10/s" : "",
        callers === 32 ? "≥ 6,700/s" : "",
      ],
    ];
  });
  return [
    ...rows,
    [
      "first event after the plugin made it, p50 / p99",
      pair(firstEvent.bare),
      pair(firstEvent.berth),
      "",
      "p99 ≤ 5 ms",
    ],
  ];
}

function lifeRows(results: Results): Row[] {
  return [
    ["plugin: start to ready", seconds(results.bareStartMs), seconds(results.startMs), "< 3 s", "≤ 1 s"],
    ["plugin: kill to next answer", "", seconds(results.restartMs), "< 5 s", "≤ 5 s"],
    ["install: cold cache (downloads)", "", seconds(results.coldMs), "", ""],
    ["install: cached wheels", "", seconds(results.cachedMs), "", "≤ 3 s"],
    ["install: second tenant", "", seconds(results.secondTenantMs), "", "≤ 1.2 s"],
    ["Berth: start on an empty data folder", "", seconds(results.berthStartMs), "", ""],
  ];
}

function costRows({ loads, memory, bareMb }: Results): Row[] {
  const most = loads.at(-1);
  const micros = (value: number | undefined) => `${Math.round(value ?? Number.NaN)} µs`;
  return [
    [`CPU a call at ${most?.callers} callers: host`, "", micros(most?.berth.hostMicros), "", "≤ 80 µs"],
    ["… runner", "", micros(most?.berth.runnerMicros), "", "25 µs"],
    ["… plugin", micros(most?.bare.pluginMicros), micros(most?.berth.pluginMicros), "", "120 µs"],
    [
      "resident: host, started / after the load",
      "",
      `${mb(memory.idle)} / ${mb(memory.host)}`,
      "256 MB",
      "≤ 550 MB",
    ],
    ["… its redis-server", "", mb(memory.redis), "", ""],
    ["… plugin after the load", mb(bareMb), mb(memory.plugin), "256 MB", ""],
    [
      "… beside each plugin: runner + init and shim",
      "",
      `${mb(memory.runner)} + ${mb(memory.initAndShim)}`,
      "",
      "≤ 15 MB",
    ],
  ];
}

function pair({ p50, p99 }: Quantiles): string {
  return `${p50.toFixed(2)} / ${p99.toFixed(2)} ms`;
}

function rate({ perSecond }: Load): string {
  return `${Math.round(perSecond).toLocaleString("en")}/s`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}

function mb(value: number): string {
  return `${Math.round(value)} MB`;
}
