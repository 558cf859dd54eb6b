/** Request bodies: the type is checked before a byte is read, the size before and while reading. */
import type { IncomingMessage } from "node:http";
import { Fault } from "../../domain/fault.ts";

/** Throws `unsupported_media_type`. */
export function checkContentType(header: string | undefined, accepted: readonly string[]): void {
  const type = header?.split(";", 1)[0]?.trim().toLowerCase();
  if (type !== undefined && accepted.includes(type)) return;
  throw new Fault(
    "unsupported_media_type",
    `Content-Type is ${header === undefined ? "missing" : JSON.stringify(header)}; accepted: ${accepted.join(", ")}.`,
    { details: { field: "Content-Type", value: header ?? null, accepted } },
  );
}

/** Throws `payload_too_large` where the header announces too much. */
export function checkContentLength(header: string | undefined, bytesMax: number): void {
  const bytes = header === undefined ? 0 : Number(header);
  if (bytes > bytesMax) throw tooLarge(bytes, bytesMax);
}

/** The whole body. Throws `payload_too_large` as soon as it exceeds the bound. */
export async function readBytes(body: AsyncIterable<Uint8Array> | null, bytesMax: number): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  let bytes = 0;
  for await (const piece of body ?? []) {
    bytes += piece.length;
    if (bytes > bytesMax) throw tooLarge(bytes, bytesMax);
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

/** The same from Node's own request, without a web stream: this is the warm path. */
export function readIncoming(incoming: IncomingMessage, bytesMax: number): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const pieces: Buffer[] = [];
    let bytes = 0;
    incoming.on("data", (piece: Buffer) => {
      bytes += piece.length;
      if (bytes <= bytesMax) pieces.push(piece);
      else reject(tooLarge(bytes, bytesMax));
    });
    incoming.on("end", () => {
      const [first] = pieces;
      resolve(first !== undefined && pieces.length === 1 ? first : Buffer.concat(pieces));
    });
    incoming.on("error", (cause) =>
      reject(new Fault("invalid_input", "The request ended before its body was complete.", { cause })),
    );
    incoming.on("close", () => {
      if (!incoming.complete)
        reject(new Fault("invalid_input", "The request ended before its body was complete."));
    });
  });
}

export function tooLarge(bytes: number, bytesMax: number): Fault {
  return new Fault(
    "payload_too_large",
    `The body has ${bytes} bytes or more; accepted: at most ${bytesMax}.`,
    {
      details: { field: "body", value: bytes, accepted: `at most ${bytesMax} bytes` },
    },
  );
}
