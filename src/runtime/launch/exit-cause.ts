/** How a Runtime came to its end, put together from what the runner said and what the Engine knows. */

import type { ContainerState } from "../../domain/container.ts";
import { Fault } from "../../domain/fault.ts";
import type { RuntimeId } from "../../domain/ids.ts";
import type { RuntimeEnd } from "../../domain/runtime.ts";
import type { Engine } from "../../engine/engine.ts";
import type { RuntimeExit } from "../../transport/transport.ts";
import type { Clock } from "../../util/clock.ts";
import { Deadline } from "../../util/deadline.ts";

const LINE_CHARACTERS_MAX = 2_000;
const LOG_READ_MS = 2_000;
const KEPT_LINES = 20;
const KEPT_CHARACTERS = 500;

/** The runner's word on the plugin's exit code is the better one; out of memory is what either of them saw. */
export function exitOf(said: RuntimeExit | undefined, state: ContainerState | undefined): RuntimeExit {
  return {
    exitCode: said === undefined ? state?.exitCode : said.exitCode,
    signal: said?.signal,
    oom: said?.oom === true || state?.oomKilled === true,
  };
}

type Reason = RuntimeEnd["reason"];

/** How one ended that was ready. `reason` undefined: by itself. `hung`: what one did not do that Berth ended for it. */
export function endOf(
  exit: RuntimeExit,
  {
    reason = exit.oom ? "oom" : "crashed",
    hung,
    lines,
  }: {
    readonly reason: Reason | undefined;
    readonly hung?: string | undefined;
    readonly lines: readonly string[];
  },
): RuntimeEnd {
  return {
    reason,
    ...(exit.exitCode === undefined ? {} : { exitCode: exit.exitCode }),
    oom: exit.oom,
    message: describeEnd(reason, exit, hung),
    ...(lines.length === 0 ? {} : { logs: keptLines(lines) }),
  };
}

/** How a start ended that failed. `isGivenUp`: nobody waited for it any more. */
export function startEnd(fault: Fault, isGivenUp: boolean): RuntimeEnd {
  const { exitCode, oom, logs } = fault.details;
  return {
    reason: isGivenUp || fault.rule.backOff ? "start_interrupted" : "start_failed",
    ...(typeof exitCode === "number" ? { exitCode } : {}),
    oom: oom === true,
    message: isGivenUp ? "Nobody waited for the start any more." : fault.message,
    ...(Array.isArray(logs) && logs.length > 0 ? { logs: keptLines(logs.map(String)) } : {}),
  };
}

/** What a Pool's history keeps of a log: the row of each end carries it. */
function keptLines(lines: readonly string[]): readonly string[] {
  return lines.slice(-KEPT_LINES).map((line) => line.slice(0, KEPT_CHARACTERS).toWellFormed());
}

function describeEnd(reason: Reason, exit: RuntimeExit, hung = "it did not answer"): string {
  const code = exit.exitCode === undefined ? "" : ` (exit code ${exit.exitCode})`;
  switch (reason) {
    case "unhealthy":
      return `The plugin did not pass its health checks (${hung}). Berth ended its container.`;
    case "ended_outside":
      return `Somebody ended or removed the plugin's container at the engine${code}.`;
    case "engine_restarted":
      return `The engine ended the plugin's container when it restarted${code}.`;
    case "lost":
      return `The plugin's container had ended, or was gone, when Berth looked for it again${code}.`;
    default:
      return describeExit(exit);
  }
}

function describeExit({ exitCode, signal, oom }: RuntimeExit): string {
  if (oom) return "The plugin used more memory than its limit and was killed.";
  if (signal !== undefined) return `The plugin was ended by signal ${signal}.`;
  if (exitCode !== undefined) return `The plugin ended with exit code ${exitCode}.`;
  return "The plugin ended; how is not known.";
}

export function startCrashed(exit: RuntimeExit, logs: readonly string[]): Fault {
  return new Fault("start_crashed", `${describeExit(exit)} It had not become ready before.`, {
    details: { exitCode: exit.exitCode ?? null, signal: exit.signal ?? null, oom: exit.oom, logs },
  });
}

export function startInterrupted(by: "ended_outside" | "engine_restarted"): Fault {
  const what =
    by === "ended_outside"
      ? "Somebody ended or removed the plugin's container at the engine while it was starting."
      : "The engine restarted while the plugin was starting.";
  return new Fault("start_interrupted", what);
}

/** Last lines of a Container's output; what cannot be read is empty: the cause matters more than its log. */
export async function lastLines(
  { engine, clock }: { readonly engine: Pick<Engine, "logs">; readonly clock: Clock },
  containerId: string,
  count: number,
): Promise<readonly string[]> {
  using deadline = new Deadline({ clock, ms: LOG_READ_MS, late: () => new Error("the log took too long") });
  const lines: string[] = [];
  try {
    for await (const { text } of engine.logs(containerId, { follow: false, tail: count }, deadline.signal)) {
      lines.push(text.slice(0, LINE_CHARACTERS_MAX).replaceAll("\0", "\uFFFD").toWellFormed());
      if (lines.length > count) lines.shift();
    }
  } catch {
    return lines;
  }
  return lines;
}

export interface EndedRuntime {
  readonly id: RuntimeId;
  readonly end: RuntimeEnd;
  readonly logs: readonly string[];
}
