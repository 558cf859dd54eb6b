/**
 * Asks one Runtime for its health as long as it lives. A Runtime counts as dead only after several misses in a row,
 * the later ones quickly behind the first: one slow moment of the host replaces nothing.
 */
import type { RuntimeHealth, RuntimeLink } from "../transport/transport.ts";
import type { Clock } from "../util/clock.ts";
import type { SupervisionSettings } from "./settings.ts";

export interface HealthListener {
  /** First miss in a row. */
  onUnhealthy(why: string): void;
  /** Answered again. */
  onHealthy(): void;
  /** Too many misses: nothing more is asked. */
  onDead(why: string): void;
}

type HealthSettings = Pick<
  SupervisionSettings,
  "healthMs" | "healthRetryMs" | "pingTimeoutMs" | "heartbeatAgeMaxMs" | "missesMax"
>;

/** Resolves when the signal aborts or the Runtime counts as dead. */
export async function watchHealth(
  {
    link,
    clock,
    settings,
  }: { readonly link: RuntimeLink; readonly clock: Clock; readonly settings: HealthSettings },
  listener: HealthListener,
  signal: AbortSignal,
): Promise<void> {
  let misses = 0;
  try {
    while (misses < settings.missesMax) {
      await clock.sleep(misses === 0 ? settings.healthMs : settings.healthRetryMs, signal);
      const why = await missed({ link, clock, settings }, signal);
      if (why === undefined) {
        if (misses > 0) listener.onHealthy();
        misses = 0;
        continue;
      }
      misses += 1;
      if (misses === 1) listener.onUnhealthy(why);
      if (misses >= settings.missesMax) listener.onDead(why);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
}

/** Undefined: healthy. */
async function missed(
  {
    link,
    clock,
    settings,
  }: { readonly link: RuntimeLink; readonly clock: Clock; readonly settings: HealthSettings },
  signal: AbortSignal,
): Promise<string | undefined> {
  const limit = new AbortController();
  const answered = new AbortController();
  void clock.sleep(settings.pingTimeoutMs, answered.signal).then(
    () => limit.abort(new Error("no answer")),
    () => undefined,
  );
  let health: RuntimeHealth;
  try {
    health = await link.ping(AbortSignal.any([signal, limit.signal]));
  } catch (error) {
    signal.throwIfAborted();
    return error instanceof Error ? error.message : "no answer";
  } finally {
    answered.abort();
  }
  if (!health.alive) return "the plugin's process has ended";
  const age = health.heartbeatAgeMs;
  return age !== undefined && age > settings.heartbeatAgeMaxMs ? `no heartbeat for ${age} ms` : undefined;
}
