/** The platform's inner API, which Dify offers to the server that runs its plugins. */
import type { IncomingMessage } from "node:http";
import type { SecureContext } from "node:tls";
import { Fault, isFault } from "../domain/fault.ts";
import { isMap } from "../domain/json.ts";
import { systemClock } from "../util/clock.ts";
import { Deadline } from "../util/deadline.ts";
import { failureReason } from "../util/network-failure.ts";
import { readBytes, readText, sendRequest } from "../util/outbound-request.ts";
import { readAnswerData, readNestedAnswerData } from "./answer-data.ts";
import { readFrames } from "./answer-frames.ts";
import { askFailure } from "./ask-failure.ts";

/** Requests to the platform's inner API. Each is sent once: the caller decides whether to retry. */
export interface InnerApi {
  /**
   * `data` of the answer. Throws `platform_unavailable` where there is no answer within the client's own timeout, or one
   * with a status other than 200, and `platform_refused` for an answer with an error. The context of both has, as `why`,
   * the text that the platform's own daemon would have used.
   */
  post(path: string, body: object, signal: AbortSignal): Promise<unknown>;
  /**
   * Yields the text of each item of the answer as it arrives, and reads on only when the next one is asked for. Its only
   * time limit is `deadlineMs`, beside that for the connection. The connection ends with the iteration and with the
   * signal. Throws the signal's reason, or `platform_unavailable` or `platform_refused`, whose messages name the
   * inner API, the path, the status, the items that have come and the cause.
   */
  ask(question: InnerQuestion, signal: AbortSignal): AsyncIterable<string>;
}

export interface InnerQuestion {
  /** Below `/inner/api/`. */
  readonly path: string;
  /** JSON. */
  readonly body: string;
  readonly answer: AnswerForm;
  readonly deadlineMs: number;
}

/**
 * How an answer is written: any number of frames, one document, or one document whose `data` has another `data` in it.
 */
export type AnswerForm = "frames" | "document" | "nested document";

export interface InnerApiSettings {
  /** Without a trailing slash. */
  readonly url: string;
  readonly key: string;
  /** The authorities that the server's certificate is verified against. */
  readonly trust: SecureContext;
  /** Until there is a connection, its TLS included. */
  readonly connectTimeoutMs: number;
  /** Of `post`: from the request to the last byte of its answer. */
  readonly timeoutMs: number;
  /** Of `post`. */
  readonly answerBytesMax: number;
  /** Of `ask`: bytes of one frame, and of an answer that is one document. */
  readonly itemBytesMax: number;
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
  const send = (path: string, body: string, signal: AbortSignal) => {
    const url = new URL(`${settings.url}/inner/api/${path}`);
    return sendRequest({ method: "POST", url, headers, body, trust, connectTimeoutMs }, signal);
  };
  return {
    async post(path, body, signal) {
      const late = AbortSignal.timeout(settings.timeoutMs);
      try {
        const answer = await send(path, JSON.stringify(body), AbortSignal.any([signal, late]));
        return dataOf(answer.statusCode ?? 0, await readText(answer, settings.answerBytesMax));
      } catch (error) {
        signal.throwIfAborted();
        if (isFault(error)) throw error;
        const why = late.aborted ? `no answer within ${settings.timeoutMs} ms` : failureReason(error);
        throw unavailable(`it did not answer (${why})`, why, error);
      }
    },
    async *ask({ path, body, answer: form, deadlineMs }, signal) {
      const progress = { path, status: undefined as number | undefined, items: 0 };
      using deadline = new Deadline({ clock: systemClock, ms: deadlineMs }, signal);
      try {
        const answer = await send(path, body, deadline.signal);
        progress.status = answer.statusCode ?? 0;
        if (progress.status !== 200) throw askFailure(progress, { refusal: await beginningOf(answer) });
        for await (const item of itemsOf(answer, form, settings.itemBytesMax)) {
          progress.items++;
          yield item;
        }
      } catch (error) {
        signal.throwIfAborted();
        if (isFault(error)) throw error;
        throw askFailure(progress, deadline.isOver ? { deadlineMs } : { error });
      }
    },
  };
}

async function* itemsOf(answer: IncomingMessage, form: AnswerForm, bytesMax: number): AsyncGenerator<string> {
  if (form === "frames") {
    for await (const frame of readFrames(answer, { bytesMax })) yield readAnswerData(frame);
    return;
  }
  const document = await readBytes(answer, bytesMax);
  yield form === "document" ? readAnswerData(document) : readNestedAnswerData(document);
}

/** Enough of a failed answer to show; the rest is not read. */
async function beginningOf(answer: IncomingMessage): Promise<string> {
  let text = "";
  for await (const part of answer as AsyncIterable<Buffer>) {
    text += part.toString();
    if (text.length > SHOWN_MAX) break;
  }
  return shortened(text.trim());
}

function dataOf(status: number, text: string): unknown {
  if (status !== 200)
    throw unavailable(
      `it answered with status ${status}${status === 404 ? ": its address or key may be wrong" : ""}`,
      `request failed with status code: ${status} and respond with: ${shortened(text)}`,
    );
  const answer = parse(text);
  if (!isMap(answer)) throw unavailable("its answer is not a JSON object", "the answer is no JSON object");
  const { error, data } = answer;
  if (typeof error === "string" && error !== "") throw refused(`request failed: ${error}`);
  if (data === undefined || data === null) throw refused("data is nil");
  return data;
}

function shortened(text: string): string {
  return text.length > SHOWN_MAX ? `${text.slice(0, SHOWN_MAX)}...` : text;
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
