import type { IncomingMessage } from "node:http";
import type { Socket } from "node:net";

/**
 * Lets a caller that is still sending read its answer. Closing a connection with unread bytes resets it, and a reset
 * discards an answer that the caller has not read yet. So where an answer is the last of its connection and its
 * request's body is incomplete, this sends the end at once, and reads and drops the rest of the body for at most
 * `lingerMs` before it closes. `request` is the latest request of the connection.
 */
export function lingerAtEnd(
  socket: Socket,
  request: () => IncomingMessage | undefined,
  lingerMs: number,
): void {
  const close = socket.destroySoon.bind(socket);
  let isLingering = false;
  // Node and its adapter close connections by this method only, once the answer has been written.
  socket.destroySoon = () => {
    const incoming = request();
    if (incoming === undefined || incoming.complete || socket.destroyed) return close();
    if (isLingering) return;
    isLingering = true;
    socket.end();
    const timer = setTimeout(() => socket.destroy(), lingerMs);
    const done = () => {
      clearTimeout(timer);
      close();
    };
    incoming.once("end", done).once("close", done);
    incoming.resume();
  };
}
