/** Reads the guard's reports of its decisions and logs them; the metrics add up the `count` of these lines by plugin. */
import { z } from "zod";
import type { Log } from "../observe/log.ts";

/** Sender, receiver, protocol, port, number of packets, time of the last one. */
const Packets = z
  .array(z.tuple([z.string(), z.string(), z.number(), z.number(), z.number(), z.number()]))
  .default([]);
const Report = z.object({
  op: z.literal("counts"),
  refused: Packets,
  allowed: Packets,
  names: z.array(z.tuple([z.string(), z.string(), z.number(), z.number()])).default([]),
});

export interface Decisions {
  readonly refused: readonly Decision[];
  readonly allowed: readonly Decision[];
}

interface Decision {
  /** An address; another container may have had it before. */
  readonly from: string;
  readonly to: string;
  readonly count: number;
  readonly lastAt: number;
}

/** The plugin whose container has an address, and since when. */
export interface Sender {
  readonly plugin: string;
  readonly pool: string;
  readonly startedAt: number;
}

const LINES_MAX = 20;
const PROTOCOLS: Readonly<Record<number, string>> = { 6: "tcp", 17: "udp" };

/** Undefined if the line is no report of decisions. */
export function parseDecisions(text: string): Decisions | undefined {
  const report = parse(text);
  if (report === undefined) return undefined;
  const names = report.names.map(([from, to, count, lastAt]) => ({ from, to, count, lastAt }));
  return { refused: [...report.refused.map(packets), ...names], allowed: report.allowed.map(packets) };
}

/**
 * Logs one line for each plugin and refused destination, at most 20 for a report, and the rest as a number; all of them
 * count. Another worker logs those of unknown senders. Packets from before a plugin's container started are left out: the
 * doctor's probe, a build or another plugin had its address then.
 */
export function logDecisions(
  decisions: Decisions,
  senders: ReadonlyMap<string, Sender>,
  log: Pick<Log, "info" | "warn">,
): void {
  const refused = sentBy(decisions.refused, senders);
  for (const one of refused.slice(0, LINES_MAX)) log.warn({ op: "egress.refused", ok: false, ...one });
  for (const [plugin, left] of Map.groupBy(refused.slice(LINES_MAX), (one) => one.plugin))
    log.warn({ op: "egress.refused", ok: false, plugin, destinations: left.length, count: sum(left) });
  for (const [plugin, all] of Map.groupBy(sentBy(decisions.allowed, senders), (one) => one.plugin))
    log.info({ op: "egress.allowed", ok: true, plugin, destinations: all.length, count: sum(all) });
}

/** One for each sender and destination. A report may hold several, because counting restarts when containers come or go. */
function sentBy(decisions: readonly Decision[], senders: ReadonlyMap<string, Sender>) {
  const own = decisions.filter(({ from, lastAt }) => lastAt >= (senders.get(from)?.startedAt ?? Infinity));
  return [...Map.groupBy(own, ({ from, to }) => `${from} ${to}`).values()].flatMap((all) => {
    const sender = senders.get(all[0]?.from ?? "");
    if (sender === undefined) return [];
    const { plugin, pool } = sender;
    return [{ plugin, pool, to: all[0]?.to, count: sum(all) }];
  });
}

function packets([from, to, protocol, port, count, lastAt]: z.infer<typeof Packets>[number]): Decision {
  return { from, to: `${to}:${port}/${PROTOCOLS[protocol] ?? protocol}`, count, lastAt };
}

function sum(all: readonly { readonly count: number }[]): number {
  return all.reduce((total, { count }) => total + count, 0);
}

function parse(text: string): z.infer<typeof Report> | undefined {
  try {
    return Report.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
