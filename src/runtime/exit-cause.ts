/** How a Runtime came to its end, put together from what the runner said and what the Engine knows. */
import type { ContainerState } from "../domain/container.ts";
import { Fault } from "../domain/fault.ts";
import type { RuntimeId } from "../domain/ids.ts";
import type { RuntimeEnd } from "../domain/runtime.ts";
import type { Engine } from "../engine/engine.ts";
import type { RuntimeExit } from "../transport/transport.ts";
import type { Clock } from "../util/clock.ts";

const LINE_CHARACTERS_MAX = 2_000;
const LOG_READ_MS = 2_000;

/** The runner's word on the plugin's exit code is the better one; out of memory is what either of them saw. */
export function exitOf(said: RuntimeExit | undefined, state: ContainerState | undefined): RuntimeExit {
  return {
    exitCode: said === undefined ? state?.exitCode : said.exitCode,
    signal: said?.signal,
    oom: said?.oom === true || state?.oomKilled === true,
  };
}

export function endOf(exit: RuntimeExit, reason?: RuntimeEnd["reason"]): RuntimeEnd {
  return {
    reason: reason ?? (exit.oom ? "oom" : "crashed"),
    ...(exit.exitCode === undefined ? {} : { exitCode: exit.exitCode }),
    oom: exit.oom,
    message: describeExit(exit),
  };
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

/** Last lines of a Container's output; what cannot be read is empty: the cause matters more than its log. */
export async function lastLines(
  { engine, clock }: { readonly engine: Pick<Engine, "logs">; readonly clock: Clock },
  containerId: string,
  count: number,
): Promise<readonly string[]> {
  const stop = new AbortController();
  const late = new AbortController();
  void clock.sleep(LOG_READ_MS, late.signal).then(
    () => stop.abort(new Error("the log took too long")),
    () => undefined,
  );
  const lines: string[] = [];
  try {
    for await (const { text } of engine.logs(containerId, { follow: false, tail: count }, stop.signal)) {
      lines.push(text.slice(0, LINE_CHARACTERS_MAX));
      if (lines.length > count) lines.shift();
    }
  } catch {
    return lines;
  } finally {
    late.abort();
  }
  return lines;
}

export interface EndedRuntime {
  readonly id: RuntimeId;
  readonly end: RuntimeEnd;
  readonly logs: readonly string[];
}
