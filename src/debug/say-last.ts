import type { Socket } from "node:net";

/** How long the last line may take to be sent. */
const LAST_LINE_MS = 1_000;

/**
 * Tells a peer in one line why its connection ends, and ends it. What it still sends is read and dropped, or the end could
 * reach it as a reset, before the line. A peer that reads nothing does not keep the connection.
 */
export function sayLast(socket: Socket, why: string): void {
  if (socket.destroyed) return;
  socket.resume();
  socket.end(`berth: ${why.replace(/[\r\n]+/g, " ")}\n`);
  setTimeout(() => socket.destroy(), LAST_LINE_MS).unref();
}
