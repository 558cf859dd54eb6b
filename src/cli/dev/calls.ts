/** The calls of a plugin, read from the lines between it and a Berth. */
import { z } from "zod";

/** A call that the plugin has answered to its end. */
export interface FinishedCall {
  /** `TYPE/ACTION`, with the tool, model or strategy that was called where the request names one. */
  readonly name: string;
  readonly ms: number;
  /** Messages that the plugin yielded. */
  readonly items: number;
  readonly error: CallError | undefined;
}

export interface CallError {
  readonly type: string;
  readonly message: string;
  /** Of newer SDKs. */
  readonly traceback: string | undefined;
}

const Request = z.object({
  event: z.literal("request"),
  session_id: z.string(),
  data: z.looseObject({ type: z.string(), action: z.string() }),
});
const Answer = z.object({
  event: z.literal("session"),
  session_id: z.string(),
  data: z.object({ type: z.string(), data: z.unknown().optional() }),
});
const Failure = z.object({
  error_type: z.string().catch("error"),
  message: z.string().catch(""),
  args: z.object({ traceback: z.string().optional() }).catch({}).default({}),
});

/** Fields of requests that name what is called. */
const SUBJECTS = ["tool", "model", "agent_strategy", "datasource", "event", "provider"];

interface OpenCall {
  readonly name: string;
  readonly since: number;
  items: number;
  error: CallError | undefined;
}

/** Pairs requests with answers by their session; other lines are ignored. */
export class Calls {
  readonly #open = new Map<string, OpenCall>();

  request(line: string, now: number): void {
    const { data: request } = Request.safeParse(parseJson(line));
    if (request === undefined) return;
    const { type, action, ...fields } = request.data;
    const subject = SUBJECTS.map((field) => fields[field]).find((value) => typeof value === "string");
    const name = `${type}/${action}${subject === undefined ? "" : ` ${subject}`}`;
    this.#open.set(request.session_id, { name, since: now, items: 0, error: undefined });
  }

  /** The call that this line of the plugin ends. */
  answer(line: string, now: number): FinishedCall | undefined {
    // Most lines are heartbeats and messages of a stream.
    const { data: answer } = Answer.safeParse(parseJson(line));
    if (answer === undefined) return undefined;
    const call = this.#open.get(answer.session_id);
    if (call === undefined) return undefined;
    const { type, data } = answer.data;
    if (type === "stream") call.items += 1;
    if (type === "error") call.error = errorOf(data);
    if (type !== "end") return undefined;
    this.#open.delete(answer.session_id);
    const { name, since, items, error } = call;
    return { name, ms: now - since, items, error };
  }

  /** Calls without an end, which the plugin can no longer answer. */
  drop(now: number): readonly FinishedCall[] {
    const error = { type: "ConnectionClosed", message: "the plugin ended first", traceback: undefined };
    const dropped = [...this.#open.values()].map(({ name, since, items }) => ({
      name,
      items,
      error,
      ms: now - since,
    }));
    this.#open.clear();
    return dropped;
  }
}

function errorOf(data: unknown): CallError {
  const { data: failure } = Failure.safeParse(data);
  if (failure === undefined) return { type: "error", message: JSON.stringify(data), traceback: undefined };
  return { type: failure.error_type, message: failure.message, traceback: failure.args.traceback };
}

function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}
