/** The platform's inner API: what Dify answers to whoever runs its plugins. */
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { SecureContext } from "node:tls";
import { Fault, isFault } from "../../domain/fault.ts";
import { isMap } from "../../domain/json.ts";
import { explainNetworkFailure } from "../../util/network-failure.ts";

export interface InnerApi {
  /**
   * `data` of the answer. Asked once: who asks knows whether to ask again. Throws `platform_unavailable` where there is no
   * answer, or one with a status other than 200, and `platform_refused` for an answer that says an error. The context of
   * both holds, as `why`, what the platform's own daemon would have said.
   */
  post(path: string, body: object, signal: AbortSignal): Promise<unknown>;
}

export interface InnerApiSettings {
  /** Without a slash at its end. */
  readonly url: string;
  readonly key: string;
  /** What the server's certificate is checked against. */
  readonly trust: SecureContext;
  /** Until there is a connection, its TLS included. */
  readonly connectTimeoutMs: number;
  /** From the request to the last byte of its answer. */
  readonly timeoutMs: number;
  readonly answerBytesMax: number;
}

/** Of an answer that is no success, this much is told on. */
const TOLD_MAX = 1000;

export function createInnerApi(settings: InnerApiSettings): InnerApi {
  return {
    async post(path, body, signal) {
      const url = new URL(`${settings.url}/inner/api/${path}`);
      const late = AbortSignal.timeout(settings.timeoutMs);
      try {
        const answer = await send(
          settings,
          { url, body: JSON.stringify(body) },
          AbortSignal.any([signal, late]),
        );
        return dataOf(answer.statusCode ?? 0, await readAll(answer, settings.answerBytesMax));
      } catch (error) {
        signal.throwIfAborted();
        if (isFault(error)) throw error;
        const why = late.aborted ? `no answer within ${settings.timeoutMs} ms` : reasonOf(error);
        throw unavailable(`it did not answer (${why})`, why, error);
      }
    },
  };
}

/** A connection for each request: a kept one may be closed by the server while a request is on its way. */
async function send(
  settings: InnerApiSettings,
  { url, body }: { readonly url: URL; readonly body: string },
  signal: AbortSignal,
): Promise<IncomingMessage> {
  const isSecure = url.protocol === "https:";
  const agent = isSecure
    ? new HttpsAgent({ keepAlive: false, secureContext: settings.trust })
    : new HttpAgent({ keepAlive: false });
  const headers = {
    ...{ "content-type": "application/json", "content-length": Buffer.byteLength(body) },
    ...{ "x-inner-api-key": settings.key, accept: "application/json", "user-agent": "berth" },
  };
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const request = (isSecure ? httpsRequest : httpRequest)(
    url,
    { ...{ method: "POST", agent, signal, headers } },
    resolve,
  );
  const timer = setTimeout(
    () => request.destroy(new Error(`no connection within ${settings.connectTimeoutMs} ms`)),
    settings.connectTimeoutMs,
  );
  request.on("socket", (socket) =>
    socket.once(isSecure ? "secureConnect" : "connect", () => clearTimeout(timer)),
  );
  request.on("error", reject);
  request.end(body);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}

async function readAll(answer: IncomingMessage, bytesMax: number): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of answer as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > bytesMax) throw new Error(`an answer of more than ${bytesMax} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}

function dataOf(status: number, text: string): unknown {
  const told = text.length > TOLD_MAX ? `${text.slice(0, TOLD_MAX)}...` : text;
  if (status !== 200)
    throw unavailable(
      `it answered with status ${status}${status === 404 ? ": its address or key may be wrong" : ""}`,
      `request failed with status code: ${status} and respond with: ${told}`,
    );
  const answer = parse(text);
  if (!isMap(answer)) throw unavailable("it answered no JSON", "the answer is no JSON object");
  const { error, data } = answer;
  if (typeof error === "string" && error !== "") throw refused(`request failed: ${error}`);
  if (data === undefined || data === null) throw refused("data is nil");
  return data;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function unavailable(told: string, why: string, cause?: unknown): Fault {
  return new Fault("platform_unavailable", `The platform's inner API is of no use now: ${told}.`, {
    context: { why },
    ...(cause !== undefined && { cause }),
  });
}

/** The platform's own words are for the platform and the log. */
function refused(why: string): Fault {
  return new Fault("platform_refused", "The platform's inner API refused the settings.", {
    context: { why },
  });
}

function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return explainNetworkFailure(error)?.reason ?? text;
}
