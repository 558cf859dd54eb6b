import type { Socket } from "node:net";
import { waitOrAbort } from "../util/wait.ts";

/** The first byte of a TLS connection. */
export const TLS_BYTE = 0x16;

/** The first byte that the peer sends, which stays to be read. Rejects with the signal's reason, and where it closes first. */
export async function firstByte(socket: Socket, signal: AbortSignal): Promise<number> {
  const { promise, resolve, reject } = Promise.withResolvers<number>();
  const onClose = () => reject(new Error("closed before the first byte"));
  const onData = (chunk: Buffer) => {
    socket.pause();
    socket.unshift(chunk);
    resolve(chunk[0] ?? 0);
  };
  socket.once("close", onClose);
  socket.once("data", onData);
  socket.resume();
  try {
    return await waitOrAbort(promise, signal);
  } finally {
    socket.off("close", onClose);
    socket.off("data", onData);
  }
}
