import type { Context } from "hono";
import { Fault } from "../../domain/fault.ts";
import type { DoorLife } from "../door-life.ts";
import type { HttpEnv } from "../env.ts";

/**
 * Returns the work's answer, or throws `answer_timeout` when there is none within this time after the request is
 * complete; receiving the request has its own bounds. The signal aborts late work; work that ignores it runs on.
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
    const fault = new Fault("answer_timeout", `The request was not answered within ${answerTimeoutMs} ms.`);
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
