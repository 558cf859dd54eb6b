/**
 * Files that a plugin sends in pieces. Memory is taken only for bytes that have arrived, never for what a piece claims
 * about the whole.
 */
import type { JsonMap } from "../../../../domain/json.ts";
import { refuseChunk } from "./reader.ts";

const PIECE_BYTES_MAX = 8192;
const FILE_BYTES_MAX = 15 * 1024 * 1024;
/** Per stream: files that have begun and not ended. */
const OPEN_FILES_MAX = 64;
const OPEN_BYTES_MAX = 4 * FILE_BYTES_MAX;

interface OpenFile {
  /** Grows by doubling, so that a file of many small pieces costs no object per piece. */
  room: Buffer;
  bytes: number;
}

export interface OpenFiles {
  /** Returns the whole file in base64 after its last piece. Throws for a piece that cannot be read or is too large. */
  add(piece: JsonMap): string | undefined;
}

export function openFiles(): OpenFiles {
  const files = new Map<string, OpenFile>();
  let openBytes = 0;
  return {
    add(piece) {
      const { id, bytes, isLast } = readPiece(piece);
      const file = files.get(id) ?? { room: Buffer.alloc(0), bytes: 0 };
      if (file.bytes + bytes.length > FILE_BYTES_MAX) throw refuseChunk("file is too large");
      files.set(id, file);
      openBytes += bytes.length;
      if (openBytes > OPEN_BYTES_MAX || files.size > OPEN_FILES_MAX)
        throw refuseChunk("too many files have begun and not ended");
      append(file, bytes);
      if (!isLast) return undefined;
      files.delete(id);
      openBytes -= file.bytes;
      return file.room.toString("base64", 0, file.bytes);
    },
  };
}

function append(file: OpenFile, bytes: Buffer): void {
  const needed = file.bytes + bytes.length;
  if (needed > file.room.length) {
    const room = Buffer.allocUnsafe(Math.max(needed, file.room.length * 2, PIECE_BYTES_MAX));
    file.room.copy(room, 0, 0, file.bytes);
    file.room = room;
  }
  bytes.copy(file.room, file.bytes);
  file.bytes = needed;
}

function readPiece(piece: JsonMap): {
  readonly id: string;
  readonly bytes: Buffer;
  readonly isLast: boolean;
} {
  const { id, blob, end } = { id: piece["id"], blob: piece["blob"] ?? "", end: piece["end"] ?? false };
  if (typeof id !== "string") throw refuseChunk("message.id of a blob_chunk is no text");
  if (typeof end !== "boolean") throw refuseChunk("message.end of a blob_chunk is neither true nor false");
  const bytes = typeof blob === "string" ? fromBase64(blob) : undefined;
  if (bytes === undefined) throw refuseChunk("message.blob of a blob_chunk is no base64 text");
  if (bytes.length > PIECE_BYTES_MAX) throw refuseChunk("single file chunk is too large");
  return { id, bytes, isLast: end };
}

const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** Undefined for text that is not base64: Node's own decoder accepts anything and drops what it does not know. */
function fromBase64(written: string): Buffer | undefined {
  const plain = written.replaceAll(/[\r\n]/g, "");
  return plain.length % 4 === 0 && BASE64.test(plain) ? Buffer.from(plain, "base64") : undefined;
}
