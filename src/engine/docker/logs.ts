import { StringDecoder } from "node:string_decoder";
import { isFault } from "../../domain/fault.ts";
import { storableText } from "../../util/storable.ts";
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

/**
 * Lines of both streams in the order in which they ended. When a container ends, engine 20.10 ends a slow follower
 * without sending it the rest (110,000 lines of 200,000 came), so after the end the rest is read again.
 */
export async function* readLogs(
  client: DockerClient,
  request: LogRequest,
  caps: LogCaps,
  signal: AbortSignal,
): AsyncGenerator<LogChunk, void, undefined> {
  const lines = { stdout: new LineJoiner("stdout", caps), stderr: new LineJoiner("stderr", caps) };
  for await (const frame of readFrames(client, request, caps, signal)) yield* lines[frame.stream].add(frame);
  const last = latest(lines.stdout.position, lines.stderr.position);
  if (request.follow) {
    const rest =
      last === undefined
        ? { ...request, follow: false }
        : { id: request.id, follow: false, since: new Date(timeOf(last).getTime() - OVERLAP_MS) };
    const before = {
      stdout: new ReadBefore(lines.stdout.position),
      stderr: new ReadBefore(lines.stderr.position),
    };
    try {
      for await (const frame of readFrames(client, rest, caps, signal)) {
        if (!before[frame.stream].has(stampOf(frame))) yield* lines[frame.stream].add(frame);
      }
    } catch (error) {
      // The container was removed meanwhile: there is no rest.
      if (!isFault(error, "not_found")) throw error;
    }
  }
  yield* lines.stdout.end();
  yield* lines.stderr.end();
}

/** Two writers stamp the two streams, and one may lag a little. */
const OVERLAP_MS = 100;

async function* readFrames(
  client: DockerClient,
  request: LogRequest,
  caps: LogCaps,
  signal: AbortSignal,
): AsyncGenerator<OutputFrame, void, undefined> {
  const path = `/containers/${checkName("container", request.id)}/logs`;
  const answer = await client.stream({ method: "GET", path, query: queryOf(request) }, signal);
  try {
    yield* demultiplex(answer, caps);
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

/** The engine splits longer lines into pieces of exactly this size. */
const PIECE_BYTES = 16_384;

/**
 * Joins the pieces of a split line. Each piece has its own time and may end inside a character, so bytes are decoded
 * across pieces. Engine 20.10 with the `local` driver omits the newline after the last piece, so a shorter piece without
 * one also ends its line.
 */
class LineJoiner {
  readonly #stream: LogChunk["stream"];
  readonly #lineBytesMax: number;
  readonly #decoder = new StringDecoder("utf8");
  #text = "";
  #bytes = 0;
  #at: Date | undefined;
  #position: Position | undefined;

  constructor(stream: LogChunk["stream"], { lineBytesMax }: LogCaps) {
    this.#stream = stream;
    this.#lineBytesMax = lineBytesMax;
  }

  /** How far this stream has been read. */
  get position(): Position | undefined {
    return this.#position;
  }

  *add(frame: OutputFrame): Generator<LogChunk> {
    const stamp = stampOf(frame);
    this.#at ??= timeOf({ stamp });
    const count = this.#position?.stamp === stamp ? this.#position.count + 1 : 1;
    this.#position = { stamp, count };
    let rest = frame.data.subarray(stamp.length + 1);
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
    const chunk = { stream: this.#stream, at: this.#at ?? new Date(0), text: storableText(this.#text) };
    this.#text = "";
    this.#bytes = 0;
    this.#at = undefined;
    return chunk;
  }
}

/** The last time stamp, and how many pieces had it. Stamps have a fixed width, so they sort as text. */
interface Position {
  readonly stamp: string;
  readonly count: number;
}

/** Recognizes, in a second reading of a stream, the pieces that the first one read. */
class ReadBefore {
  readonly #position: Position | undefined;
  #again = 0;

  constructor(position: Position | undefined) {
    this.#position = position;
  }

  has(stamp: string): boolean {
    if (this.#position === undefined || stamp > this.#position.stamp) return false;
    if (stamp < this.#position.stamp) return true;
    this.#again += 1;
    return this.#again <= this.#position.count;
  }
}

function latest(a: Position | undefined, b: Position | undefined): Position | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a.stamp > b.stamp ? a : b;
}

function stampOf({ data }: OutputFrame): string {
  const space = data.indexOf(32);
  if (space <= 0) throw unexpected("a log line without a time");
  return data.subarray(0, space).toString("latin1");
}

function timeOf({ stamp }: Pick<Position, "stamp">): Date {
  const at = new Date(stamp);
  if (Number.isNaN(at.getTime())) throw unexpected("a log line without a time");
  return at;
}
