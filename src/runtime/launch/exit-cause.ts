/** Names the reason why a runtime ended, from the runner's report and what the engine knows. */
import type { ContainerState } from "../../domain/container.ts";
import { Fault } from "../../domain/fault.ts";
import type { RuntimeId } from "../../domain/ids.ts";
import type { RuntimeEnd } from "../../domain/runtime.ts";
import type { Engine } from "../../engine/engine.ts";
import type { RuntimeExit } from "../../transport/transport.ts";
import type { Clock } from "../../util/clock.ts";
import { Deadline } from "../../util/deadline.ts";
import { parseCallTag } from "../logs/call-tag.ts";
import { explainDroppedModule } from "./dropped-module.ts";
import { explainMissingInOutput } from "./missing-part.ts";

const LINE_CHARACTERS_MAX = 2_000;
const LOG_READ_MS = 2_000;
const KEPT_LINES = 20;
const KEPT_CHARACTERS = 500;

/** The runner knows the plugin's exit code better; it ran out of memory if either of them saw that. */
export function exitOf(reported: RuntimeExit | undefined, state: ContainerState | undefined): RuntimeExit {
  return {
    exitCode: reported === undefined ? state?.exitCode : reported.exitCode,
    signal: reported?.signal,
    oom: reported?.oom === true || state?.oomKilled === true,
  };
}

type Reason = RuntimeEnd["reason"];

/** The end of a runtime that was ready. `reason` undefined: it ended by itself. `hung`: why Berth ended it as unhealthy. */
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

/** The end of a start that failed. `isGivenUp`: it was cancelled. */
export function startEnd(fault: Fault, isGivenUp: boolean): RuntimeEnd {
  const { exitCode, oom, logs } = fault.details;
  return {
    reason: isGivenUp || fault.rule.backOff ? "start_interrupted" : "start_failed",
    ...(typeof exitCode === "number" ? { exitCode } : {}),
    oom: oom === true,
    message: isGivenUp ? "The start was cancelled." : fault.message,
    ...(Array.isArray(logs) && logs.length > 0 ? { logs: keptLines(logs.map(String)) } : {}),
  };
}

/** The part of the log that is stored in the row of each end. */
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
  return "The plugin ended for an unknown reason.";
}

export function startCrashed(exit: RuntimeExit, logs: readonly string[], pluginId: string): Fault {
  const known = explainDroppedModule(logs) ?? explainMissingInOutput(logs, pluginId) ?? explainReadOnly(logs);
  const why = known === undefined ? "" : ` ${known}`;
  return new Fault("start_crashed", `${describeExit(exit)} It was not ready yet.${why}`, {
    details: { exitCode: exit.exitCode ?? null, signal: exit.signal ?? null, oom: exit.oom, logs },
  });
}

const READ_ONLY = /^OSError: \[Errno 30\] Read-only file system(?:: '([^']*)')?/;

/** Undefined where the last output names no file that could not be written. */
function explainReadOnly(lines: readonly string[]): string | undefined {
  const found = lines.map((line) => READ_ONLY.exec(line)).findLast((one) => one !== null);
  if (found === undefined || found === null) return undefined;
  const file = found[1] === undefined ? "" : ` ${found[1]}`;
  return `It tried to write${file}; a plugin can write in /tmp only, unless BERTH_WRITABLE_PLUGINS names it.`;
}

export function startInterrupted(by: "ended_outside" | "engine_restarted"): Fault {
  const what =
    by === "ended_outside"
      ? "Somebody ended or removed the plugin's container at the engine while it was starting."
      : "The engine restarted while the plugin was starting.";
  return new Fault("start_interrupted", what);
}

/** Last lines of a container's output. Never throws: a log that cannot be read is empty. */
export async function lastLines(
  { engine, clock }: { readonly engine: Pick<Engine, "logs">; readonly clock: Clock },
  containerId: string,
  count: number,
): Promise<readonly string[]> {
  using deadline = new Deadline({ clock, ms: LOG_READ_MS, late: () => new Error("the log took too long") });
  const lines: string[] = [];
  try {
    for await (const { text } of engine.logs(containerId, { follow: false, tail: count }, deadline.signal)) {
      lines.push(
        parseCallTag(text).text.slice(0, LINE_CHARACTERS_MAX).replaceAll("\0", "\uFFFD").toWellFormed(),
      );
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
