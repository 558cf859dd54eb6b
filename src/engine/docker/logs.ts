import { StringDecoder } from "node:string_decoder";
import type { LogChunk } from "../engine.ts";
import type { DockerClient } from "./client.ts";
import { checkName, unexpected } from "./errors.ts";
import { demultiplex, type OutputFrame } from "./framing.ts";

export interface LogRequest {
  readonly id: string;
  readonly follow: boolean;
  readonly since?: Date;
  readonly tail?: number;
}

export interface LogCaps {
  readonly frameBytesMax: number;
  /** A longer line comes as several chunks. */
  readonly lineBytesMax: number;
}

/** Lines of both streams in the order in which they ended. */
export async function* readLogs(
  client: DockerClient,
  request: LogRequest,
  caps: LogCaps,
  signal: AbortSignal,
): AsyncGenerator<LogChunk, void, undefined> {
  const path = `/containers/${checkName("container", request.id)}/logs`;
  const answer = await client.stream({ method: "GET", path, query: queryOf(request) }, signal);
  const lines = { stdout: new LineJoiner("stdout", caps), stderr: new LineJoiner("stderr", caps) };
  try {
    for await (const frame of demultiplex(answer, caps)) yield* lines[frame.stream].add(frame);
    yield* lines.stdout.end();
    yield* lines.stderr.end();
  } catch (error) {
    throw client.streamFailure(error, `the log of ${request.id}`, signal);
  } finally {
    answer.destroy();
  }
}

function queryOf({ follow, since, tail }: LogRequest): Record<string, string> {
  return {
    stdout: "1",
    stderr: "1",
    timestamps: "1",
    follow: follow ? "1" : "0",
    ...(since === undefined ? {} : { since: (since.getTime() / 1_000).toFixed(3) }),
    tail: tail === undefined ? "all" : String(tail),
  };
}

/** The Engine cuts longer lines into pieces of exactly this size. */
const PIECE_BYTES = 16_384;

/**
 * Each piece of a cut line carries a time of its own, and may end inside a character: bytes are decoded over the seams.
 * Engine 20.10 with the `local` driver forgets the newline after the last piece, so that a shorter one without it ends
 * its line too.
 */
class LineJoiner {
  readonly #stream: LogChunk["stream"];
  readonly #lineBytesMax: number;
  readonly #decoder = new StringDecoder("utf8");
  #text = "";
  #bytes = 0;
  #at: Date | undefined;

  constructor(stream: LogChunk["stream"], { lineBytesMax }: LogCaps) {
    this.#stream = stream;
    this.#lineBytesMax = lineBytesMax;
  }

  *add({ data }: OutputFrame): Generator<LogChunk> {
    const space = data.indexOf(32);
    const at = new Date(data.subarray(0, Math.max(0, space)).toString("latin1"));
    if (space < 0 || Number.isNaN(at.getTime())) throw unexpected("a log line without a time");
    this.#at ??= at;
    let rest = data.subarray(space + 1);
    const newline = rest.at(-1) === 10;
    if (newline) rest = rest.subarray(0, -1);
    const ended = newline || rest.length !== PIECE_BYTES;
    this.#text += this.#decoder.write(rest);
    this.#bytes += rest.length;
    if (ended) this.#text += this.#decoder.end();
    if (ended || this.#bytes >= this.#lineBytesMax) yield this.#take();
  }

  *end(): Generator<LogChunk> {
    this.#text += this.#decoder.end();
    if (this.#at !== undefined) yield this.#take();
  }

  #take(): LogChunk {
    const chunk = { stream: this.#stream, at: this.#at ?? new Date(0), text: this.#text };
    this.#text = "";
    this.#bytes = 0;
    this.#at = undefined;
    return chunk;
  }
}
