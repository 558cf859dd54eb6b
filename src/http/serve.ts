import type { AddressInfo } from "node:net";
import { createAdaptorServer } from "@hono/node-server";
import type { HttpApp } from "./app.ts";

export interface ServeOptions {
  readonly app: HttpApp;
  readonly host: string;
  /** 0: any free one, see `url`. */
  readonly port: number;
  readonly settings: ServeSettings;
}

export interface ServeSettings {
  readonly headerBytesMax: number;
  readonly headersTimeoutMs: number;
  /** Reception of a whole request, uploads included. */
  readonly requestTimeoutMs: number;
  /** Longer than that of a proxy in front. */
  readonly keepAliveTimeoutMs: number;
  /** Answers under way may end for so long after the stop; what is open then is cut. */
  readonly drainMs: number;
}

export interface Served extends AsyncDisposable {
  readonly url: string;
  /** Stops accepting at once, ends idle connections and control streams, waits for the rest for `drainMs` at most. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Resolves once it listens; rejects where the address cannot be had. */
export async function serve({ app, host, port, settings }: ServeOptions): Promise<Served> {
  const server = createAdaptorServer({
    fetch: (request, env) => app.fetch(request, env),
    // a program's globals are not a library's to replace
    overrideGlobalObjects: false,
    serverOptions: {
      maxHeaderSize: settings.headerBytesMax,
      headersTimeout: settings.headersTimeoutMs,
      requestTimeout: settings.requestTimeoutMs,
      keepAliveTimeout: settings.keepAliveTimeoutMs,
      noDelay: true,
    },
  });
  if (!("closeIdleConnections" in server)) throw new Error("an HTTP/1 server was expected");
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => {
      server.off("error", reject);
      resolve();
    });
  });
  const address = server.address() as AddressInfo;
  const shown = address.family === "IPv6" ? `[${address.address}]` : address.address;
  return {
    url: `http://${shown}:${address.port}`,
    async [Symbol.asyncDispose]() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      app[Symbol.dispose]();
      server.closeIdleConnections();
      const cut = setTimeout(() => server.closeAllConnections(), settings.drainMs);
      await closed;
      clearTimeout(cut);
    },
  };
}
