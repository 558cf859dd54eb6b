/**
 * Sends requests to the engine through the vendor's client, with what that lacks. This file reads every answer itself,
 * so that a connection that is cut after the headers fails at once instead of never settling. Every call has a deadline
 * that stops the work. Status codes decide, never texts. Connections are not reused: one that the engine closed meanwhile
 * would fail a call that must not be repeated, and a new one on a local socket costs a tenth of a millisecond.
 */
import { Agent, IncomingMessage } from "node:http";
import { addAbortSignal, finished, type Readable } from "node:stream";
import { inspect } from "node:util";
import Docker from "dockerode";
import { z } from "zod";
import { Fault } from "../../domain/fault.ts";
import { systemClock } from "../../util/clock.ts";
import { Deadline } from "../../util/deadline.ts";
import { waitOrAbort } from "../../util/wait.ts";
import { cut, refusal, unexpected } from "./errors.ts";

/** The oldest API with everything we use (`CgroupVersion`), and the newest whose list of changes was checked. */
const API_OLDEST = "1.41";
const API_NEWEST = "1.44";

export interface EngineRequest {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  readonly body?: object;
  /** Streamed as the body; destroyed when the call ends early. */
  readonly tar?: Readable;
  /** Statuses of 300 or more that are answers and not failures. */
  readonly accept?: readonly number[];
  /** Overrides the client's deadline for the whole call. */
  readonly timeoutMs?: number;
}

export interface EngineAnswer {
  readonly status: number;
  readonly body: unknown;
}

export interface DockerClientOptions {
  readonly socketPath: string;
  readonly callTimeoutMs: number;
  readonly answerBytesMax: number;
}

const Version = z.object({ ApiVersion: z.string(), MinAPIVersion: z.string().optional() });
const Refusal = z.object({ message: z.string() });

const EVERY_STATUS = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [100 + index, true]));

export class DockerClient implements AsyncDisposable {
  readonly #options: DockerClientOptions;
  readonly #closing = new AbortController();
  readonly #calls: Agent;
  readonly #streams: Agent;
  #version: string | undefined;

  constructor(options: DockerClientOptions) {
    this.#options = options;
    // Two agents, so that open streams never make a short call wait for a connection.
    this.#calls = new QuietAgent({ keepAlive: false, maxSockets: 64 });
    this.#streams = new QuietAgent({ keepAlive: false });
  }

  /** The API version in use: the newest that both sides know. Negotiated again after the engine was away. */
  async apiVersion(signal: AbortSignal): Promise<string> {
    if (this.#version !== undefined) return this.#version;
    const { body } = await this.#ask(this.#calls, { method: "GET", path: "/version" }, undefined, signal);
    this.#version = negotiate(parseAnswer(Version, body, "version"));
    return this.#version;
  }

  /** Resolves with the whole answer. Rejects with a Fault, or with the caller's own reason when it aborted. */
  async call(request: EngineRequest, signal: AbortSignal): Promise<EngineAnswer> {
    const version = await this.apiVersion(signal);
    return await this.#ask(this.#calls, request, version, signal);
  }

  /**
   * Resolves with a body that is still arriving; its deadline ends with the headers. The caller reads the body to its
   * end or destroys it; an abort destroys it.
   */
  async stream(request: EngineRequest, signal: AbortSignal): Promise<IncomingMessage> {
    const version = await this.apiVersion(signal);
    const limit = this.#limit(request, signal);
    try {
      const answer = await this.#dial(this.#streams, request, version, limit.signal);
      if (answer.statusCode !== undefined && answer.statusCode < 300) return answer;
      const text = textOf(await readBody(answer, this.#options.answerBytesMax));
      throw refusal(answer.statusCode ?? 0, request.path, text);
    } catch (error) {
      throw this.#explain(error, request, limit, signal);
    } finally {
      limit.release();
    }
  }

  /** The failure of a stream's body: the caller's abort, our closing, or the loss of the engine. */
  streamFailure(error: unknown, what: string, signal: AbortSignal): unknown {
    if (signal.aborted) return signal.reason;
    if (error instanceof Fault) return error;
    this.#version = undefined;
    return this.#closing.signal.aborted ? this.#closing.signal.reason : cut(what, error);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort(new Fault("engine_unavailable", "The Engine client is closed."));
    this.#calls.destroy();
    this.#streams.destroy();
  }

  async #ask(
    agent: Agent,
    request: EngineRequest,
    version: string | undefined,
    signal: AbortSignal,
  ): Promise<EngineAnswer> {
    const limit = this.#limit(request, signal);
    try {
      const answer = await this.#dial(agent, request, version, limit.signal);
      const bytes = await readBody(answer, this.#options.answerBytesMax);
      const status = answer.statusCode ?? 0;
      if (status < 300 || request.accept?.includes(status))
        return { status, body: parseJson(bytes, request.path) };
      throw refusal(status, request.path, textOf(bytes));
    } catch (error) {
      throw this.#explain(error, request, limit, signal);
    } finally {
      limit.release();
      request.tar?.destroy();
    }
  }

  async #dial(
    agent: Agent,
    request: EngineRequest,
    version: string | undefined,
    signal: AbortSignal,
  ): Promise<IncomingMessage> {
    signal.throwIfAborted();
    // `host`, `protocol` and `timeout` are set because the vendor reads DOCKER_HOST and the like for missing ones.
    const connection = {
      socketPath: this.#options.socketPath,
      host: undefined,
      protocol: "http" as const,
      timeout: undefined,
      agent,
      ...(version === undefined ? {} : { version: `v${version}` }),
    };
    const { modem } = new Docker(connection);
    const dialled = new Promise<IncomingMessage>((resolve, reject) => {
      modem.dial(dialOptions(request, signal), (error, answer) => {
        if (!(answer instanceof IncomingMessage)) return reject(error ?? unexpected(request.path));
        resolve(addAbortSignal(signal, answer));
      });
    });
    return await waitOrAbort(dialled, signal);
  }

  #limit(request: EngineRequest, signal: AbortSignal): Limit {
    const timeoutMs = request.timeoutMs ?? this.#options.callTimeoutMs;
    const text = `The Engine did not answer within ${timeoutMs} ms (${request.path}).`;
    const late = () => new Fault("engine_unavailable", text, { details: { timeoutMs } });
    const deadline = new Deadline({ clock: systemClock, ms: timeoutMs, late });
    // A tar stream that dies without an error would leave the request open, so its end is watched.
    const broken = new AbortController();
    const unwatch =
      request.tar === undefined
        ? undefined
        : finished(request.tar, { writable: false }, (error) => {
            if (error) broken.abort(error);
          });
    return {
      signal: AbortSignal.any([signal, this.#closing.signal, deadline.signal, broken.signal]),
      release: () => {
        deadline[Symbol.dispose]();
        unwatch?.();
      },
    };
  }

  #explain(error: unknown, request: EngineRequest, limit: Limit, signal: AbortSignal): unknown {
    if (signal.aborted) return signal.reason;
    if (error instanceof Fault) return error;
    if (limit.signal.aborted) return limit.signal.reason;
    // Another engine may listen on this socket later.
    this.#version = undefined;
    return cut(request.path, error);
  }
}

/**
 * The vendor's client formats the whole request as a text for debugging, to any depth, even if debugging is off. Through
 * the agent that includes every open request: it would block the event loop for tens of milliseconds per call, and for
 * seconds under load.
 */
class QuietAgent extends Agent {
  [inspect.custom](): string {
    return "Agent";
  }
}

interface Limit {
  readonly signal: AbortSignal;
  release(): void;
}

/** Throws `engine_refused` if the answer does not match the schema. */
export function parseAnswer<T>(schema: z.ZodType<T>, body: unknown, what: string): T {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  throw unexpected(what, parsed.error);
}

/** A new object for each request: the vendor's client deletes fields of its arguments. */
function dialOptions(request: EngineRequest, signal: AbortSignal) {
  const query =
    request.query === undefined || Object.keys(request.query).length === 0 ? undefined : request.query;
  return {
    method: request.method,
    path: query === undefined ? request.path : `${request.path}?`,
    options: { _query: { ...query }, _body: structuredClone(request.body ?? {}) },
    ...(request.tar === undefined ? {} : { file: request.tar }),
    isStream: true,
    statusCodes: EVERY_STATUS,
    abortSignal: signal,
  };
}

function negotiate({ ApiVersion, MinAPIVersion }: z.infer<typeof Version>): string {
  const chosen = older(ApiVersion, API_NEWEST) ? ApiVersion : API_NEWEST;
  const known = `it speaks ${MinAPIVersion ?? "?"} to ${ApiVersion}, Berth ${API_OLDEST} to ${API_NEWEST}`;
  if (older(chosen, API_OLDEST)) {
    throw new Fault(
      "engine_refused",
      `The Engine is too old: ${known}. Docker Engine 20.10 is the oldest supported.`,
    );
  }
  if (MinAPIVersion !== undefined && older(chosen, MinAPIVersion)) {
    throw new Fault("engine_refused", `The Engine is too new for this Berth: ${known}.`);
  }
  return chosen;
}

function older(version: string, than: string): boolean {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [thanMajor = 0, thanMinor = 0] = than.split(".").map(Number);
  return major === thanMajor ? minor < thanMinor : major < thanMajor;
}

async function readBody(answer: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of answer) {
    bytes += chunk.length;
    if (bytes > bytesMax) throw unexpected(`an answer of more than ${bytesMax} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function parseJson(bytes: Buffer, what: string): unknown {
  if (bytes.length === 0) return undefined;
  try {
    return JSON.parse(bytes.toString("utf8"));
  } catch (cause) {
    throw unexpected(`${what}: not JSON`, cause);
  }
}

function textOf(bytes: Buffer): string {
  const text = bytes.toString("utf8").trim();
  try {
    const parsed = Refusal.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data.message : text.slice(0, 2_000);
  } catch {
    return text === "" ? "no reason given" : text.slice(0, 2_000);
  }
}
