/** The figures of both hosts as tables: one row per attack, the same columns for each host. */
import type { Attack } from "./peer-attacks.ts";
import { formatColumns } from "./table.ts";

/** What the attacker still runs and uses. */
export interface Left {
  readonly threads: number;
  readonly cpus: number;
  readonly mb: number;
}

export interface Figures {
  /** Of the answered calls; NaN where there was none. */
  readonly p50: number;
  readonly p99: number;
  readonly calls: number;
  readonly failed: number;
  readonly why: string;
}

export interface Row extends Figures {
  /** How the attack's calls ended, and when the first one ended. */
  readonly ends: readonly string[];
  readonly endS: number;
  readonly hostMb: readonly [number, number];
  readonly isAlive: boolean;
  /** Until the attacker answers again, in seconds. */
  readonly servesAgain: number | undefined;
  readonly left: Left;
}

/** In MB. */
export type Memory = Readonly<Record<"host" | "plugin" | "whole", number>>;

export interface Kills {
  /** From the start of the host to the sibling's answer, in seconds. */
  readonly host: readonly number[];
  readonly plugin: readonly { readonly failed: number; readonly seconds: number | undefined }[];
}

/** Quiet phases first and last, the attacks in between. */
export function formatRows(
  sides: readonly string[],
  {
    alone,
    rows,
    again,
  }: {
    alone: readonly Figures[];
    rows: readonly (readonly [Attack, readonly Row[]])[];
    again: readonly Figures[];
  },
): string {
  const head = [
    "attack",
    ...sides.flatMap(() => ["p50", "p99", "failed", "its call", "serves again", "left", "host"]),
  ];
  const blank = ["", "", "", ""];
  const quiet = (name: string, figures: readonly Figures[]) => [
    name,
    ...figures.flatMap((one) => [...times(one), ...blank]),
  ];
  return formatColumns([
    ["", ...sides.flatMap((name) => [name, "", "", ...blank])],
    head,
    quiet("alone", alone),
    ...rows.map(([{ name }, both]) => [name, ...both.flatMap((row) => [...times(row), ...after(row)])]),
    quiet("alone again", again),
  ]);
}

function times({ p50, p99, calls, failed }: Figures): readonly string[] {
  const ms = (value: number) => (Number.isNaN(value) ? "-" : `${value.toFixed(value < 10 ? 1 : 0)} ms`);
  return [ms(p50), ms(p99), failed === 0 ? "0" : `${failed} of ${calls}`];
}

function after({
  ends,
  endS,
  servesAgain,
  left,
  hostMb: [mbBefore, mbAfter],
  isAlive,
}: Row): readonly string[] {
  return [
    `${ends[0]}, ${endS.toFixed(1)} s`,
    servesAgain === undefined ? "no" : `${servesAgain.toFixed(1)} s`,
    thingsIn(left).join(", ") || "-",
    isAlive ? `${mbBefore.toFixed(0)} → ${mbAfter.toFixed(0)} MB` : "dead",
  ];
}

/** What a `kill -9` costs, and the memory without any attack. */
export function formatKills(
  sides: readonly string[],
  { memory, kills }: { memory: readonly Memory[]; kills: readonly Kills[] },
): string {
  const s = (value: number | undefined) => (value === undefined ? "never" : `${value.toFixed(1)} s`);
  const each = (values: readonly string[]) => values.join(", ");
  return formatColumns([
    ["measure", ...sides],
    ["host killed: from its start to an answer", ...kills.map(({ host }) => each(host.map(s)))],
    [
      "plugin killed: to an answer",
      ...kills.map(({ plugin }) => each(plugin.map(({ seconds }) => s(seconds)))),
    ],
    [
      "… failed calls of 40 a second",
      ...kills.map(({ plugin }) => each(plugin.map(({ failed }) => String(failed)))),
    ],
    ["memory of the host, two plugins idle", ...memory.map(({ host }) => `${host.toFixed(0)} MB`)],
    ["… of an idle plugin's process", ...memory.map(({ plugin }) => `${plugin.toFixed(0)} MB`)],
    ["… with the processes beside it", ...memory.map(({ whole }) => `${whole.toFixed(0)} MB`)],
  ]);
}

/** Only significant differences. */
export function thingsIn({ threads, cpus, mb }: Left): readonly string[] {
  return [
    ...(threads > 20 ? [`${threads} threads`] : []),
    ...(cpus > 0.2 ? [`${cpus.toFixed(1)} CPUs`] : []),
    ...(mb > 50 ? [`${mb.toFixed(0)} MB`] : []),
  ];
}
