import { once } from "node:events";
import { createServer, type Socket } from "node:net";

/** The command's side of `dev_container.py`: the key, the start, and the end. */
export interface ControlSocket extends AsyncDisposable {
  start(): void;
  /** Resolves with true when the container's program has ended, false where it does not within `ms` or never came. */
  end(ms: number): Promise<boolean>;
}

/** On a socket that any user may connect to who can reach its folder; the first connection counts. */
export async function openControlSocket(path: string, key: string): Promise<ControlSocket> {
  let isStarted = false;
  let link: Socket | undefined;
  const server = createServer((socket) => {
    if (link !== undefined) return void socket.destroy();
    link = socket;
    socket.on("error", () => socket.destroy());
    socket.resume();
    socket.write(isStarted ? `${key}\nstart\n` : `${key}\n`);
  });
  server.listen({ path, readableAll: true, writableAll: true });
  await once(server, "listening");
  return {
    start() {
      isStarted = true;
      link?.write("start\n");
    },
    async end(ms) {
      server.close();
      if (link === undefined) return false;
      if (link.closed) return true;
      const closed = once(link, "close").then(() => true);
      const late = once(AbortSignal.timeout(ms), "abort").then(() => false);
      link.end();
      return await Promise.race([closed, late]);
    },
    async [Symbol.asyncDispose]() {
      link?.destroy();
      server.close();
    },
  };
}
