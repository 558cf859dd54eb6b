/**
 * The frames in which the platform streams an answer. Each has a header of 14 bytes, little endian: the magic byte 0x0f,
 * a reserved byte, the length of the rest of the header (10) in two bytes, the length of the payload in four, six
 * reserved bytes. The payload follows.
 */
import { UnusableAnswer } from "./unusable-answer.ts";

const HEADER_BYTES = 14;
const MAGIC = 0x0f;
const HEADER_LENGTH = 10;

/**
 * Yields the payload of each frame as soon as it is complete, and reads on only when the next one is asked for. Throws
 * `UnusableAnswer` for bytes that are no frame, a payload of more than `bytesMax`, and a frame that is cut.
 */
export async function* readFrames(
  chunks: AsyncIterable<Buffer>,
  { bytesMax }: { readonly bytesMax: number },
): AsyncGenerator<Buffer> {
  const waiting = new Chunks();
  let number = 1;
  let payloadBytes: number | undefined;
  for await (const chunk of chunks) {
    waiting.add(chunk);
    for (;;) {
      payloadBytes ??= readHeader(waiting, number, bytesMax);
      if (payloadBytes === undefined || waiting.bytes < payloadBytes) break;
      yield waiting.take(payloadBytes);
      payloadBytes = undefined;
      number++;
    }
  }
  if (payloadBytes !== undefined)
    throw new UnusableAnswer(`frame ${number} is cut after ${waiting.bytes} of ${payloadBytes} bytes`);
  if (waiting.bytes > 0)
    throw new UnusableAnswer(
      `frame ${number} is cut after ${waiting.bytes} of the ${HEADER_BYTES} bytes of its header`,
    );
}

/** The length of the payload; undefined where the header is not complete. */
function readHeader(waiting: Chunks, number: number, bytesMax: number): number | undefined {
  const first = waiting.first;
  if (first !== undefined && first !== MAGIC)
    throw new UnusableAnswer(`frame ${number} begins with the byte ${hex(first)}; accepted: ${hex(MAGIC)}`);
  if (waiting.bytes < HEADER_BYTES) return undefined;
  const header = waiting.take(HEADER_BYTES);
  const length = header.readUInt16LE(2);
  if (length !== HEADER_LENGTH)
    throw new UnusableAnswer(
      `frame ${number} has a header of the length ${length}; accepted: ${HEADER_LENGTH}`,
    );
  const payloadBytes = header.readUInt32LE(4);
  if (payloadBytes > bytesMax)
    throw new UnusableAnswer(`frame ${number} has ${payloadBytes} bytes; accepted: at most ${bytesMax}`);
  return payloadBytes;
}

function hex(byte: number): string {
  return `0x${byte.toString(16).padStart(2, "0")}`;
}

/** Bytes as they arrived, joined once when enough of them are there. */
class Chunks {
  #chunks: Buffer[] = [];
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get first(): number | undefined {
    return this.#chunks[0]?.[0];
  }

  add(chunk: Buffer): void {
    if (chunk.length === 0) return;
    this.#chunks.push(chunk);
    this.#bytes += chunk.length;
  }

  /** The first `count` bytes, of which there must be so many. */
  take(count: number): Buffer {
    const [first] = this.#chunks;
    const all = first !== undefined && this.#chunks.length === 1 ? first : Buffer.concat(this.#chunks);
    const rest = all.subarray(count);
    this.#chunks = rest.length === 0 ? [] : [rest];
    this.#bytes -= count;
    return all.subarray(0, count);
  }
}
