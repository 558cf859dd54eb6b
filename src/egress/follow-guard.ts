/**
 * Logs the reports of the guard about the pools whose lease this process holds, also those of the next guard after a
 * replacement. A report that cannot be read is lost; the next one counts on.
 */
import { isFault, toFault } from "../domain/fault.ts";
import type { Engine } from "../engine/engine.ts";
import { formatLabelFilter, parseLabels } from "../engine/labels.ts";
import type { Log } from "../observe/log.ts";
import type { Store } from "../store/store.ts";
import type { Clock } from "../util/clock.ts";
import { type Decisions, logDecisions, parseDecisions, type Sender } from "./decisions.ts";

export interface FollowGuardDeps {
  readonly engine: Engine;
  readonly clock: Clock;
  readonly log: Log;
  readonly instanceId: string;
  readonly store: { readonly pools: Pick<Store["pools"], "list"> };
  /** This process, as the holder of leases. */
  readonly holder: string;
}

const RETRY_MS = 1_000;

/** `guardId`: the container of the guard while there is one. Resolves when the signal aborts. */
export async function followGuard(
  deps: FollowGuardDeps,
  guardId: () => string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const { engine, clock, log } = deps;
  let since = new Date(clock.now());
  while (!signal.aborted) {
    try {
      const id = guardId();
      if (id !== undefined) {
        for await (const { text, at } of engine.logs(id, { follow: true, since }, signal)) {
          since = new Date(at.getTime() + 1);
          const decisions = parseDecisions(text);
          if (decisions !== undefined)
            logDecisions(decisions, await findSenders(deps, decisions, signal), log);
        }
      }
    } catch (error) {
      if (!signal.aborted && !isFault(error, "not_found"))
        log.debug({ op: "egress.follow", ok: false, err: toFault(error) });
    }
    await clock.sleep(RETRY_MS, signal).catch(() => undefined);
  }
}

/** The senders whose pools this process holds. */
async function findSenders(
  { engine, store, holder, instanceId }: FollowGuardDeps,
  { refused, allowed }: Decisions,
  signal: AbortSignal,
): Promise<ReadonlyMap<string, Sender>> {
  const asked = new Set([...refused, ...allowed].map(({ from }) => from));
  const labels = formatLabelFilter({ instance: instanceId, kind: "runtime" });
  const [containers, pools] = await Promise.all([engine.listContainers(labels, signal), store.pools.list()]);
  const kept = new Map(pools.filter(({ lease }) => lease?.holder === holder).map((pool) => [pool.key, pool]));
  const senders = new Map<string, Sender>();
  for (const { id, address, labels: found } of containers) {
    const pool = kept.get(parseLabels(found)?.pool ?? "");
    if (address === undefined || pool === undefined || !asked.has(address)) continue;
    // The list has no start times. A container that has ended since has no address any more.
    const startedAt = (await engine.findContainer(id, signal))?.startedAt?.getTime();
    if (startedAt !== undefined) senders.set(address, { plugin: pool.pluginId, pool: pool.key, startedAt });
  }
  return senders;
}
