/** What the guard tells of its decisions, as lines of the log and as what is counted of each plugin. */
import { z } from "zod";
import type { Log } from "../observe/log.ts";

/** Sender, receiver, protocol, port, how many, and when the last of them was. */
const Packets = z
  .array(z.tuple([z.string(), z.string(), z.number(), z.number(), z.number(), z.number()]))
  .default([]);
const Told = z.object({
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
  /** An address, which others may have had before. */
  readonly from: string;
  readonly to: string;
  readonly count: number;
  readonly lastAt: number;
}

/** Whose Container has an address, and since when. */
export interface Sender {
  readonly plugin: string;
  readonly pool: string;
  readonly startedAt: number;
}

const LINES_MAX = 20;
const PROTOCOLS: Readonly<Record<number, string>> = { 6: "tcp", 17: "udp" };

/** Undefined for what is no report of decisions. */
export function parseDecisions(text: string): Decisions | undefined {
  const told = parse(text);
  if (told === undefined) return undefined;
  const names = told.names.map(([from, to, count, lastAt]) => ({ from, to, count, lastAt }));
  return { refused: [...told.refused.map(packets), ...names], allowed: told.allowed.map(packets) };
}

/**
 * Logs one line for each plugin and destination that was refused, at most 20 a report, and what was left out as a
 * number. All of it counts. Those of unknown senders are another worker's to tell. What was last before a plugin's
 * Container started is none of the plugin's: the doctor's probe, a build or another plugin had its address then.
 */
export function tellDecisions(
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

/** One for each sender and destination: a report may hold several, as it is counted anew when a Container comes or goes. */
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

function parse(text: string): z.infer<typeof Told> | undefined {
  try {
    return Told.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}
