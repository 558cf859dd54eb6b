import { Fault, type FaultCode, isFault } from "../domain/fault.ts";
import { backoffMs } from "../util/backoff.ts";
import type { Clock } from "../util/clock.ts";
import type { Log } from "./log.ts";

export interface ReachOptions {
  /** The server and its address, without secrets: `PostgreSQL at db:5432 (database berth)`. */
  readonly server: string;
  /** The code of the Fault after the last attempt. */
  readonly code: FaultCode;
  /** `op` in the log. */
  readonly op: string;
  /** Time from the first attempt to the start of the last one; 0: one attempt. */
  readonly waitMs: number;
  readonly clock: Clock;
  readonly log: Log;
  /** Undefined if the error says nothing about the server: then it is thrown unchanged. */
  readonly explain: (error: unknown) => { readonly reason: string; readonly isFinal: boolean } | undefined;
  readonly signal: AbortSignal;
}

const PAUSE = { firstMs: 200, maxMs: 2000 };

/**
 * Repeats an attempt to use a server until it succeeds or `waitMs` is over. Logs each reason once, not once per attempt.
 * Throws a Fault with the last reason, at once for a reason that waiting cannot change. A Fault with another code is
 * thrown unchanged.
 */
export async function reach<T>(options: ReachOptions, attempt: () => Promise<T>): Promise<T> {
  const { server, code, op, waitMs, clock, log, explain, signal } = options;
  const endAt = clock.now() + waitMs;
  let logged: string | undefined;
  for (let failures = 1; ; failures += 1) {
    try {
      const result = await attempt();
      if (logged !== undefined) log.info({ op, ok: true, attempts: failures }, `${server} answers`);
      return result;
    } catch (cause) {
      if (isFault(cause) && cause.code !== code) throw cause;
      const explained = explain(cause);
      if (explained === undefined) throw cause;
      const { reason, isFinal } = explained;
      const sentence = `${server} cannot be used: ${reason}.`;
      const leftMs = endAt - clock.now();
      if (isFinal) throw new Fault(code, sentence, { cause });
      if (leftMs <= 0) {
        const tried = waitMs === 0 ? "" : ` Gave up after ${waitMs / 1000} s.`;
        throw new Fault(code, sentence + tried, { cause });
      }
      if (reason !== logged)
        log.warn({ op, ok: false, code, reason }, `${sentence} Retrying for ${waitMs / 1000} s in all.`);
      logged = reason;
      await clock.sleep(Math.min(leftMs, backoffMs(failures, PAUSE)), signal);
    }
  }
}
