import { once } from "node:events";
import { createServer, type IncomingMessage, request, type ServerResponse } from "node:http";
import { connect, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { bridgeAddress } from "./wheel-index.ts";

/** A proxy on the engine's bridge, behind a password, that notes whom it was asked for. */
export interface RecordingProxy extends AsyncDisposable {
  /** With user and password. */
  readonly url: string;
  readonly password: string;
  /** `CONNECT host:port` and `GET http://host:port/path`, in the order in which they came. */
  readonly asked: readonly string[];
}

/** Any host that ends in `.example` is this machine: nobody else resolves such a name. */
export async function startRecordingProxy(password: string): Promise<RecordingProxy> {
  const asked: string[] = [];
  const sockets = new Set<Socket>();
  const expected = `Basic ${Buffer.from(`proxy-user:${password}`).toString("base64")}`;
  const isAdmitted = ({ method, url, headers }: IncomingMessage) => {
    if (headers["proxy-authorization"] !== expected) return false;
    asked.push(`${method} ${url}`);
    return true;
  };
  const server = createServer((incoming, response) => {
    if (isAdmitted(incoming)) forward(incoming, response);
    else response.writeHead(407, { "proxy-authenticate": "Basic" }).end();
  });
  server.on("connect", (incoming, client) => {
    if (isAdmitted(incoming)) tunnel(incoming, client, sockets);
    else client.end("HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n");
  });
  const host = bridgeAddress();
  server.listen(0, host);
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no TCP address");
  return {
    url: `http://proxy-user:${encodeURIComponent(password)}@${host}:${address.port}`,
    password,
    asked,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function forward(incoming: IncomingMessage, response: ServerResponse): void {
  const { hostname, port, pathname, search } = new URL(incoming.url ?? "");
  const { "proxy-authorization": _, ...headers } = incoming.headers;
  const onward = request({
    host: addressOf(hostname),
    port: Number(port || 80),
    path: `${pathname}${search}`,
    method: incoming.method,
    headers,
    agent: false,
  });
  onward.on("response", (answer) => {
    response.writeHead(answer.statusCode ?? 502, answer.headers);
    answer.pipe(response);
  });
  onward.on("error", () => response.writeHead(502).end());
  incoming.pipe(onward);
}

function tunnel(incoming: IncomingMessage, client: Duplex, sockets: Set<Socket>): void {
  const { hostname, port } = new URL(`http://${incoming.url}`);
  const upstream = connect(Number(port || 443), addressOf(hostname));
  sockets.add(upstream);
  upstream.on("connect", () => {
    client.write("HTTP/1.1 200 Connection established\r\n\r\n");
    client.pipe(upstream).pipe(client);
  });
  // Destroyed too: with nobody to write to, it would never read its own end.
  upstream
    .on("error", () => client.destroy())
    .on("close", () => {
      sockets.delete(upstream);
      client.destroy();
    });
  client.on("error", () => upstream.destroy()).on("close", () => upstream.destroy());
}

function addressOf(host: string): string {
  return host.endsWith(".example") ? bridgeAddress() : host;
}
