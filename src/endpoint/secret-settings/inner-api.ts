/** The platform's inner API, which Dify offers to the server that runs its plugins. */
import type { SecureContext } from "node:tls";
import { Fault, isFault } from "../../domain/fault.ts";
import { isMap } from "../../domain/json.ts";
import { explainNetworkFailure } from "../../util/network-failure.ts";
import { readText, sendRequest } from "../../util/outbound-request.ts";

/** Requests to the platform's inner API. */
export interface InnerApi {
  /**
   * `data` of the answer. Sends the request once: the caller decides whether to retry. Throws `platform_unavailable`
   * where there is no answer, or one with a status other than 200, and `platform_refused` for an answer with an error.
   * The context of both has, as `why`, the text that the platform's own daemon would have used.
   */
  post(path: string, body: object, signal: AbortSignal): Promise<unknown>;
}

export interface InnerApiSettings {
  /** Without a trailing slash. */
  readonly url: string;
  readonly key: string;
  /** The authorities that the server's certificate is verified against. */
  readonly trust: SecureContext;
  /** Until there is a connection, its TLS included. */
  readonly connectTimeoutMs: number;
  /** From the request to the last byte of its answer. */
  readonly timeoutMs: number;
  readonly answerBytesMax: number;
}

/** Characters of a failed answer that are passed on. */
const SHOWN_MAX = 1000;

export function createInnerApi(settings: InnerApiSettings): InnerApi {
  const { key, trust, connectTimeoutMs } = settings;
  const headers = {
    "content-type": "application/json",
    accept: "application/json",
    "x-inner-api-key": key,
  };
  return {
    async post(path, body, signal) {
      const url = new URL(`${settings.url}/inner/api/${path}`);
      const late = AbortSignal.timeout(settings.timeoutMs);
      try {
        const answer = await sendRequest(
          { method: "POST", url, headers, body: JSON.stringify(body), trust, connectTimeoutMs },
          AbortSignal.any([signal, late]),
        );
        return dataOf(answer.statusCode ?? 0, await readText(answer, settings.answerBytesMax));
      } catch (error) {
        signal.throwIfAborted();
        if (isFault(error)) throw error;
        const why = late.aborted ? `no answer within ${settings.timeoutMs} ms` : reasonOf(error);
        throw unavailable(`it did not answer (${why})`, why, error);
      }
    },
  };
}

function dataOf(status: number, text: string): unknown {
  const shown = text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}...` : text;
  if (status !== 200)
    throw unavailable(
      `it answered with status ${status}${status === 404 ? ": its address or key may be wrong" : ""}`,
      `request failed with status code: ${status} and respond with: ${shown}`,
    );
  const answer = parse(text);
  if (!isMap(answer)) throw unavailable("its answer is not a JSON object", "the answer is no JSON object");
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

function unavailable(problem: string, why: string, cause?: unknown): Fault {
  return new Fault("platform_unavailable", `The platform's inner API is unavailable: ${problem}.`, {
    context: { why },
    ...(cause !== undefined && { cause }),
  });
}

/** The platform's own words go to the platform and the log only. */
function refused(why: string): Fault {
  return new Fault("platform_refused", "The platform's inner API refused the settings.", {
    context: { why },
  });
}

function reasonOf(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return explainNetworkFailure(error)?.reason ?? text;
}
