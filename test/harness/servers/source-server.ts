/** A server that speaks as marketplaces and release servers do, and as badly as a test wants it. */
import { createHash } from "node:crypto";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Certificate } from "./authority.ts";

/** `received` resolves once the far side has said that it has so many bytes. */
export type Answer = (
  request: IncomingMessage,
  response: ServerResponse,
  received: (bytes: number) => Promise<void>,
) => void;

export interface SourceServer extends AsyncDisposable {
  /** `http://127.0.0.1:port` */
  readonly url: string;
  readonly port: number;
  /** What it was asked for, in order. */
  readonly asked: readonly { readonly path: string; readonly headers: IncomingHttpHeaders }[];
  /** The answers of a path (without its query), one after the other; the last one stays. */
  on(path: string, ...answers: readonly Answer[]): void;
  /** To be told by whoever downloads, of the request that was the last: connections are cut by it. */
  note(bytes: number): void;
  /** Requests of a path so far. */
  count(path: string): number;
  /** Resolves when the path has been asked for so often. */
  seen(path: string, times?: number): Promise<void>;
}

export async function startSourceServer(
  options: { readonly host?: string; readonly certificate?: Certificate } = {},
): Promise<SourceServer> {
  const { host = "127.0.0.1", certificate } = options;
  const answers = new Map<string, Answer[]>();
  const asked: { path: string; headers: IncomingHttpHeaders }[] = [];
  const watchers = new Set<() => void>();
  let has = 0;
  const note = (bytes: number) => {
    has = bytes;
    for (const look of watchers) look();
  };
  const reached = (condition: () => boolean) =>
    new Promise<void>((resolve) => {
      const look = () => {
        if (!condition()) return;
        watchers.delete(look);
        resolve();
      };
      watchers.add(look);
      look();
    });
  const received = (bytes: number) => reached(() => has >= bytes);
  const handle = (request: IncomingMessage, response: ServerResponse) => {
    has = 0;
    const path = request.url ?? "";
    asked.push({ path, headers: request.headers });
    for (const look of watchers) look();
    const known = answers.get(path.replace(/\?.*$/, "")) ?? [];
    const answer = known.length > 1 ? known.shift() : known[0];
    (answer ?? status(404))(request, response, received);
  };
  const server =
    certificate === undefined
      ? createServer(handle)
      : createTlsServer(
          { key: readFileSync(certificate.keyFile), cert: readFileSync(certificate.certFile) },
          handle,
        );
  server.listen(0, host);
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no TCP address");
  const count = (path: string) => asked.filter((one) => one.path.replace(/\?.*$/, "") === path).length;
  return {
    url: `http${certificate === undefined ? "" : "s"}://${host}:${address.port}`,
    port: address.port,
    asked,
    on: (path, ...given) => void answers.set(path, [...given]),
    count,
    note,
    seen: (path, times = 1) => reached(() => count(path) >= times),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export interface FileOptions {
  /** Undefined: the server offers no way to go on. */
  readonly etag?: string | undefined;
  /** Bytes after which the connection is cut. */
  readonly cutAfter?: number;
  /** Bytes after which nothing comes any more. */
  readonly hangAfter?: number;
  /** Without a Content-Length. */
  readonly isChunked?: boolean;
}

/** The file; the rest of it where that is asked for under the same entity tag. */
export function file(bytes: Uint8Array, options: FileOptions = {}): Answer {
  const { etag, cutAfter, hangAfter, isChunked = false } = options;
  return (request, response, received) => {
    const asked = /^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1];
    const isRest = asked !== undefined && etag !== undefined && request.headers["if-range"] === etag;
    const from = isRest ? Number(asked) : 0;
    const rest = bytes.subarray(from);
    response.writeHead(isRest ? 206 : 200, {
      ...(etag === undefined ? {} : { etag }),
      ...(isChunked ? {} : { "content-length": rest.length }),
      ...(isRest ? { "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` } : {}),
    });
    const stop = cutAfter ?? hangAfter;
    if (stop === undefined) response.end(rest);
    else response.write(rest.subarray(0, stop));
    // Cut earlier, the far side may lose what it has not read.
    if (cutAfter !== undefined) void received(from + cutAfter).then(() => response.destroy());
  };
}

export function status(code: number, headers: Readonly<Record<string, string>> = {}, text = ""): Answer {
  return (_request, response) => response.writeHead(code, headers).end(text);
}

export function redirect(location: string, code = 302): Answer {
  return status(code, { location });
}

export function json(value: unknown): Answer {
  return status(200, { "content-type": "application/json" }, JSON.stringify(value));
}

/** Takes the request and says nothing. */
export const silence: Answer = () => undefined;

export function sha256(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}
