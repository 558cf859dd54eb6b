/** Bodies of hooks: bounded each, and bounded together. */
import type { IncomingMessage } from "node:http";
import { Fault } from "../../domain/fault.ts";
import { checkContentLength, tooLarge } from "../middleware/body.ts";

/** Memory for the bodies of hooks under way; a body beyond it is refused with `busy`. */
export class BodyBudget {
  readonly #bytesMax: number;
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Throws `busy`. */
  reserve(bytes: number): void {
    if (this.#bytes + bytes > this.#bytesMax) {
      throw new Fault("busy", "Too many hook bodies in memory; retry.", {
        details: { value: this.#bytes, accepted: `at most ${this.#bytesMax} bytes` },
      });
    }
    this.#bytes += bytes;
  }

  release(bytes: number): void {
    this.#bytes -= bytes;
  }
}

/**
 * The whole body. Its bytes stay reserved in `budget` until the caller gives them back. Throws `payload_too_large`,
 * `busy`, or `invalid_input` where the body ends early, and then reserves nothing.
 */
export async function readHookBody(
  incoming: IncomingMessage,
  { bytesMax, budget }: { readonly bytesMax: number; readonly budget: BodyBudget },
): Promise<Buffer> {
  checkContentLength(incoming.headers["content-length"], bytesMax);
  const pieces: Buffer[] = [];
  let bytes = 0;
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const onData = (piece: Buffer) => {
    try {
      if (bytes + piece.length > bytesMax) throw tooLarge(bytes + piece.length, bytesMax);
      budget.reserve(piece.length);
      bytes += piece.length;
      pieces.push(piece);
    } catch (error) {
      reject(error);
    }
  };
  const onBroken = () =>
    reject(new Fault("invalid_input", "The request ended before its body was complete."));
  incoming.on("data", onData).once("end", resolve).on("error", onBroken).once("close", onBroken);
  if (incoming.destroyed) onBroken();
  try {
    await promise;
  } catch (error) {
    budget.release(bytes);
    throw error;
  } finally {
    incoming.off("data", onData).off("close", onBroken);
  }
  const [only] = pieces;
  return only !== undefined && pieces.length === 1 ? only : Buffer.concat(pieces);
}
