/** Waits for the outcome of a start: the plugin is ready, has ended, or its time is over. */
import { Fault, isFault } from "../../domain/fault.ts";
import type { RuntimeId } from "../../domain/ids.ts";
import type { Engine } from "../../engine/engine.ts";
import type { RuntimeExit } from "../../transport/transport.ts";
import type { Clock } from "../../util/clock.ts";
import { waitFor } from "../../util/wait.ts";
import type { Host } from "../health/judge.ts";
import type { RuntimeLinks } from "../reach/runtime-links.ts";
import type { LaunchSettings } from "../settings.ts";
import { exitOf, lastLines } from "./exit-cause.ts";

export interface StartWaitDeps {
  readonly engine: Engine;
  readonly links: RuntimeLinks;
  /** Tells whether the host had time for a start. */
  readonly host: Host;
  readonly clock: Clock;
  readonly settings: LaunchSettings;
}

export interface StartLimit {
  /** Milliseconds since the epoch; later if the host has no time for the start, up to `startTimeoutBusyMs`. */
  readonly until: number;
  readonly onLog: (text: string) => void;
  readonly signal: AbortSignal;
}

/**
 * Resolves with undefined when the plugin is ready, or with how it ended. Throws `start_timeout` with the last log lines,
 * and the signal's reason. It also asks the engine, because a runner that never came up reports nothing.
 */
export async function readyOrExit(
  deps: StartWaitDeps,
  { id, containerId }: { readonly id: RuntimeId; readonly containerId: string },
  limit: StartLimit,
): Promise<RuntimeExit | undefined> {
  const { engine, links, clock, settings } = deps;
  const done = new AbortController();
  const both = AbortSignal.any([limit.signal, done.signal]);
  const outcome = waitFor<{ exit: RuntimeExit | undefined }>(
    {
      look: () => {
        const exit = links.exitOf(id);
        if (exit !== undefined) return { exit };
        return links.find(id)?.link.ready === true ? { exit: undefined } : undefined;
      },
      subscribe: (listener) => links.onEvent(listener),
    },
    both,
  ).then(({ exit }) => exit);
  const timeout = untilLate(deps, { ...limit, signal: both }).then(async (spared): Promise<never> => {
    throw startTimedOut(settings, spared, await lastLines(deps, containerId, settings.logLinesKept));
  });
  const watch = watchExit({ engine, clock, everyMs: settings.startCheckMs }, containerId, both);
  try {
    return await Promise.race([outcome, timeout, watch]);
  } finally {
    done.abort(new Error("the start is decided"));
    await Promise.allSettled([outcome, timeout, watch]);
  }
}

/** Time that a start got beyond its limit, and why. */
interface Spared {
  readonly ms: number;
  readonly why: string | undefined;
}

/** Resolves when the time of the start is over. Time in which the host was busy does not count, up to a bound. */
async function untilLate(deps: StartWaitDeps, { until, onLog, signal }: StartLimit): Promise<Spared> {
  const { clock, host, settings } = deps;
  const spareMaxMs = settings.startTimeoutBusyMs - settings.startTimeoutMs;
  let spared: Spared = { ms: 0, why: undefined };
  for (let leftMs = until - clock.now(); leftMs > 0; ) {
    const from = clock.now();
    const sliceMs = Math.min(leftMs, settings.startCheckMs);
    await clock.sleep(sliceMs, signal);
    const why = spared.ms < spareMaxMs ? host.explain(from, clock.now()) : undefined;
    if (why === undefined) {
      leftMs -= sliceMs;
      continue;
    }
    if (spared.ms === 0) onLog(`the host is busy: the start gets up to ${spareMaxMs} ms more because ${why}`);
    spared = { ms: spared.ms + sliceMs, why };
  }
  return spared;
}

function startTimedOut(
  { startTimeoutMs }: LaunchSettings,
  { ms, why }: Spared,
  logs: readonly string[],
): Fault {
  const more = why === undefined ? "" : ` and ${ms} ms more, which it got because ${why}`;
  return new Fault("start_timeout", `The plugin did not become ready within ${startTimeoutMs} ms${more}.`, {
    details: { startTimeoutMs, moreMs: ms, logs },
  });
}

async function watchExit(
  { engine, clock, everyMs }: { readonly engine: Engine; readonly clock: Clock; readonly everyMs: number },
  containerId: string,
  signal: AbortSignal,
): Promise<RuntimeExit> {
  for (;;) {
    await clock.sleep(everyMs, signal);
    const state = await look(engine, containerId, signal);
    if (state !== "unknown" && (state === undefined || state.phase === "exited" || state.phase === "dead")) {
      return exitOf(undefined, state);
    }
  }
}

/** An engine that is away for a moment does not fail the start. */
async function look(engine: Engine, containerId: string, signal: AbortSignal) {
  try {
    return await engine.findContainer(containerId, signal);
  } catch (error) {
    if (isFault(error, "engine_unavailable")) return "unknown";
    throw error;
  }
}
