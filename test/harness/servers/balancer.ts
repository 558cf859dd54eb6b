import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

export interface Balancer extends AsyncDisposable {
  readonly url: string;
  /** Connections that a backend refused, so that another one got them. */
  readonly refused: number;
}

/**
 * What stands before several apis: each connection goes to the next of them in turn, and to the one after it where
 * that one refuses. Nothing is sent twice: what breaks once it is connected breaks for the client too.
 */
export async function startBalancer(backends: readonly URL[]): Promise<Balancer> {
  const sockets = new Set<Socket>();
  let next = 0;
  let refused = 0;
  const note = (socket: Socket) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
    socket.on("error", () => undefined);
    return socket;
  };
  const reach = async (): Promise<Socket | undefined> => {
    const first = next++;
    for (let tries = 0; tries < backends.length; tries++) {
      const { hostname, port } = backends[(first + tries) % backends.length] ?? new URL("http://none");
      const backend = note(connect({ host: hostname, port: Number(port), allowHalfOpen: true }));
      const connected = await once(backend, "connect").then(
        () => true,
        () => false,
      );
      if (connected) return backend;
      refused++;
    }
    return undefined;
  };
  const server = createServer({ allowHalfOpen: true, pauseOnConnect: true }, (client) => {
    note(client);
    void reach().then((backend) => {
      if (backend === undefined || client.destroyed) {
        client.destroy();
        backend?.destroy();
        return;
      }
      client.pipe(backend).pipe(client);
      // An end is passed on by the pipes; a break-off must not look like one.
      client.once("close", () => backend.destroy());
      backend.once("error", () => client.resetAndDestroy());
      client.resume();
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no TCP address");
  return {
    url: `http://127.0.0.1:${address.port}`,
    get refused() {
      return refused;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
