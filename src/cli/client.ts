/** Requests to the HTTP API of a Berth, as all of its commands make them. */
import { Readable } from "node:stream";
import { z } from "zod";
import { FAULTS, Fault, type FaultCode } from "../domain/fault.ts";
import { readEvents, type ServerEvent } from "./event-stream.ts";

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/** A body that is not JSON, with its media type. */
export interface RawBody {
  readonly body: Readable | Uint8Array<ArrayBuffer>;
  readonly type: string;
}

/** A running Berth. Every request throws the error that it answers with, and `internal` where none answers. */
export interface Client {
  readonly url: string;
  /** The answer's JSON; undefined where it has none. */
  ask(method: Method, path: string, body?: object): Promise<unknown>;
  /** The answer without a time limit, for large bodies: the caller reads its body. */
  send(method: Method, path: string, body?: RawBody): Promise<Response>;
  /** The events of an answer as they arrive, without a time limit; `signal` ends it. */
  events(method: Method, path: string, body?: object, signal?: AbortSignal): AsyncGenerator<ServerEvent>;
}

export interface ClientSettings {
  readonly url: string;
  readonly key: string | undefined;
  /** Of `ask`. */
  readonly timeoutMs: number;
  /** Follows "No Berth answers at URL": what the user can do. */
  readonly advice: string;
}

const Refused = z.object({
  error: z.object({
    code: z.custom<FaultCode>((code) => typeof code === "string" && Object.hasOwn(FAULTS, code)),
    message: z.string(),
    details: z.record(z.string(), z.unknown()).optional(),
  }),
});

export function createClient({ url: base, key, timeoutMs, advice }: ClientSettings): Client {
  const url = base.replace(/\/+$/, "");
  const authorization = `Bearer ${key}`;
  const send = async (method: Method, path: string, { headers, ...request }: RequestInit) => {
    const answer = await fetch(url + path, {
      method,
      headers: { authorization, ...(headers as Record<string, string> | undefined) },
      ...request,
    }).catch((cause) => {
      if (request.signal?.aborted && request.signal.reason?.name !== "TimeoutError") throw cause;
      throw new Fault("internal", `No Berth answers at ${url}; ${advice}.`, { cause });
    });
    if (!answer.ok) throw await refusal(url + path, answer);
    return answer;
  };
  return {
    url,
    ask: async (method, path, body) => {
      const request = { ...asJson(body), signal: AbortSignal.timeout(timeoutMs) };
      return await (await send(method, path, request)).json().catch(() => undefined);
    },
    send: (method, path, raw) => send(method, path, raw === undefined ? {} : asRaw(raw)),
    async *events(method, path, body, signal) {
      yield* readEvents(await send(method, path, { ...asJson(body), ...(signal && { signal }) }));
    },
  };
}

/** The error in an answer other than 2xx. A body without one has another server's words. */
async function refusal(url: string, answer: Response): Promise<Fault> {
  const { success, data } = Refused.safeParse(await answer.json().catch(() => undefined));
  if (!success) return new Fault("internal", `${url} answers ${answer.status}.`);
  const { code, message, details } = data.error;
  return new Fault(code, message, details === undefined ? {} : { details });
}

function asJson(body: object | undefined): RequestInit {
  if (body === undefined) return {};
  return { headers: { "content-type": "application/json" }, body: JSON.stringify(body) };
}

function asRaw({ body, type }: RawBody): RequestInit {
  const headers = { "content-type": type };
  if (!(body instanceof Readable)) return { headers, body };
  return { headers, body: Readable.toWeb(body) as ReadableStream, duplex: "half" };
}
