/**
 * Passes the engine's events on, each once. It subscribes before anybody lists, and after a break it subscribes again
 * from a little before the last event. An event is a hint: after `onSubscribed` the caller lists what is really there.
 */
import { isFault, toFault } from "../../domain/fault.ts";
import type { Engine, EngineEvent, LabelFilter } from "../../engine/engine.ts";
import type { Log } from "../../observe/log.ts";
import { backoffMs } from "../../util/backoff.ts";
import type { Clock } from "../../util/clock.ts";
import { RecentKeys } from "../../util/recent-keys.ts";

const REPLAY_MS = 5_000;
/** More than an engine replays: Docker keeps the last 256 events of any kind. */
const REMEMBERED_MAX = 1_024;
const RETRY = { firstMs: 500, maxMs: 15_000 };

/** Resolves when the signal aborts. */
export async function watchEngine(
  deps: {
    readonly engine: Pick<Engine, "events">;
    readonly clock: Clock;
    readonly log: Log;
    readonly labels: LabelFilter;
    readonly onEvent: (event: EngineEvent) => void;
    readonly onSubscribed: () => void;
    /** The stream broke, or did not come up. */
    readonly onBroken?: () => void;
  },
  signal: AbortSignal,
): Promise<void> {
  const seen = new RecentEvents();
  let failures = 0;
  while (!signal.aborted) {
    try {
      const since = seen.lastAt === undefined ? {} : { since: new Date(seen.lastAt - REPLAY_MS) };
      const events = deps.engine.events(deps.labels, since, signal)[Symbol.asyncIterator]();
      // The iterator subscribes with its first request for an event.
      const first = events.next();
      deps.onSubscribed();
      for (let next = await first; !next.done; next = await events.next()) {
        if (failures > 0) deps.log.info({ op: "engine.events", ok: true });
        failures = 0;
        if (seen.isNew(next.value)) deps.onEvent(next.value);
      }
    } catch (error) {
      if (signal.aborted) return;
      if (failures === 0) {
        deps.log.error({ op: "engine.events", ok: false, code: toFault(error).code });
        if (!isFault(error)) throw error;
      }
    }
    failures += 1;
    deps.onBroken?.();
    await deps.clock.sleep(backoffMs(failures, RETRY), signal).catch(() => undefined);
  }
}

class RecentEvents {
  readonly #keys = new RecentKeys(REMEMBERED_MAX);
  lastAt: number | undefined;

  isNew({ containerId, action, at }: EngineEvent): boolean {
    this.lastAt = Math.max(at.getTime(), this.lastAt ?? 0);
    return this.#keys.isNew(`${containerId} ${action} ${at.getTime()}`);
  }
}
