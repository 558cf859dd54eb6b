/**
 * Readers of the engine's two stream formats, with back-pressure: the next chunk is read only when the last one is
 * consumed, and leaving the loop closes the source. Nothing larger than the caps is held.
 */
import { Fault } from "../../domain/fault.ts";
import { cut, unexpected } from "./errors.ts";

export interface OutputFrame {
  readonly stream: "stdout" | "stderr";
  readonly data: Buffer;
}

const HEADER_BYTES = 8;

/**
 * Splits the multiplexed output of a container. Throws `engine_refused` on a frame of type 3 (the engine's own error),
 * an unknown type or a frame over the cap; `engine_unavailable` when the source ends inside a frame.
 */
export async function* demultiplex(
  source: AsyncIterable<Buffer>,
  { frameBytesMax }: { frameBytesMax: number },
): AsyncGenerator<OutputFrame, void, undefined> {
  const bytes = new ByteQueue();
  let wanted: { type: number; length: number } | undefined;
  for await (const chunk of source) {
    bytes.push(chunk);
    while (true) {
      if (wanted === undefined) {
        if (bytes.length < HEADER_BYTES) break;
        wanted = parseHeader(bytes.take(HEADER_BYTES), frameBytesMax);
      }
      if (bytes.length < wanted.length) break;
      const { type, length } = wanted;
      const data = bytes.take(length);
      wanted = undefined;
      if (type === 3)
        throw new Fault("engine_refused", `The Engine aborted the stream: ${data.toString("utf8")}`);
      if (type !== 0) yield { stream: type === 1 ? "stdout" : "stderr", data };
    }
  }
  if (bytes.length > 0 || wanted !== undefined) throw cut("a stream that ended inside a frame", undefined);
}

function parseHeader(header: Buffer, frameBytesMax: number): { type: number; length: number } {
  const type = header.readUInt8(0);
  const length = header.readUInt32BE(4);
  if (type > 3 || header.readUIntBE(1, 3) !== 0) throw unexpected(`a frame of type ${type} in a stream`);
  if (length > frameBytesMax) throw unexpected(`a frame of ${length} bytes, ${frameBytesMax} at most`);
  return { type, length };
}

/**
 * One JSON value per line. Lines are decoded whole, so that a character that a chunk cut in two survives. A last line
 * without a line end counts. Throws `engine_refused` on a line that is not JSON or is over the cap.
 */
export async function* readNdjson(
  source: AsyncIterable<Buffer>,
  { lineBytesMax }: { lineBytesMax: number },
): AsyncGenerator<unknown, void, undefined> {
  const bytes = new ByteQueue();
  for await (const chunk of source) {
    let from = 0;
    for (let end = chunk.indexOf(10); end >= 0; end = chunk.indexOf(10, from)) {
      bytes.push(chunk.subarray(from, end));
      from = end + 1;
      if (bytes.length > lineBytesMax) throw unexpected(`a line of more than ${lineBytesMax} bytes`);
      const line = bytes.take(bytes.length).toString("utf8").trim();
      if (line !== "") yield parseLine(line);
    }
    bytes.push(chunk.subarray(from));
    if (bytes.length > lineBytesMax) throw unexpected(`a line of more than ${lineBytesMax} bytes`);
  }
  const last = bytes.take(bytes.length).toString("utf8").trim();
  if (last !== "") yield parseLine(last);
}

function parseLine(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch (cause) {
    throw unexpected("a line that is not JSON", cause);
  }
}

/** A queue of bytes. Taking copies only the taken bytes, however small the chunks are. */
class ByteQueue {
  readonly #chunks: Buffer[] = [];
  #first = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  push(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#length += chunk.length;
  }

  /** `count` is at most `length`. */
  take(count: number): Buffer {
    const parts: Buffer[] = [];
    for (let missing = count; missing > 0; ) {
      const head = this.#chunks[this.#first];
      if (head === undefined) throw new Error("more bytes taken than there are");
      const part = head.subarray(0, missing);
      parts.push(part);
      missing -= part.length;
      if (part.length === head.length) this.#first += 1;
      else this.#chunks[this.#first] = head.subarray(part.length);
    }
    if (this.#first === this.#chunks.length || this.#first > 1_024) {
      this.#chunks.splice(0, this.#first);
      this.#first = 0;
    }
    this.#length -= count;
    const [only] = parts;
    return parts.length === 1 && only !== undefined ? only : Buffer.concat(parts, count);
  }
}
