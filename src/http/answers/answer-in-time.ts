import type { Context } from "hono";
import { Fault } from "../../domain/fault.ts";
import type { DoorLife } from "../door-life.ts";
import type { HttpEnv } from "../env.ts";

/**
 * The work's answer, or `answer_timeout` so long after the whole request is in; how long that may take has bounds of
 * its own. The work is told, and goes on unheard where it does not listen.
 */
export async function answerInTime(
  { c, life, answerTimeoutMs }: { c: Context<HttpEnv>; life: DoorLife; answerTimeoutMs: number },
  work: (late: AbortSignal) => Promise<Response>,
): Promise<Response> {
  const late = new AbortController();
  const { promise: over, reject } = Promise.withResolvers<never>();
  const onEnd = () => reject(life.requests.reason);
  life.requests.addEventListener("abort", onEnd, { once: true });
  const timer = setInterval(() => {
    if (c.env.incoming?.complete === false) return;
    const fault = new Fault("answer_timeout", `There was no answer within ${answerTimeoutMs} ms.`);
    late.abort(fault);
    reject(fault);
  }, answerTimeoutMs);
  try {
    return await Promise.race([work(late.signal), over]);
  } finally {
    clearInterval(timer);
    life.requests.removeEventListener("abort", onEnd);
  }
}
