/**
 * One HTTP request of Berth's own to another host: the one place for its connection, TLS, proxy, abort, connect time and
 * answer size. Which hosts may be asked and what an answer means is the caller's: `createHttpClient` follows the URLs of
 * strangers, `createInnerApi` asks the platform.
 *
 * Each request has a connection of its own, which ends with it: a kept one may be closed by the server while a request
 * is on its way, or have been opened for another host or by another's token.
 */
import type { LookupAddress } from "node:dns";
import { Agent as HttpAgent, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import type { LookupFunction } from "node:net";
import type { SecureContext } from "node:tls";

export interface OutboundRequest {
  readonly method: "GET" | "POST";
  /** `http:` or `https:`. */
  readonly url: URL;
  /** Sent beside `user-agent` and the length of the body. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: string;
  /** What the certificate of an `https:` server is checked against. */
  readonly trust: SecureContext;
  /** The proxy's URL; where absent, the host is reached directly. */
  readonly proxy?: string | undefined;
  /** Addresses that were checked: one of these is connected to, and the name is not looked up again. */
  readonly addresses?: readonly LookupAddress[] | undefined;
  /** Until there is a connection, its TLS included. No limit where absent. */
  readonly connectTimeoutMs?: number;
}

/**
 * Resolves with the answer's head, whatever its status; the caller reads the body to its end or destroys it. Rejects
 * with Node's own error of a connection that fails, with `no connection within <ms> ms`, and with Node's AbortError when
 * the signal aborts. An abort after the head cuts the body: reading it fails with ECONNRESET.
 */
export async function sendRequest(asked: OutboundRequest, signal: AbortSignal): Promise<IncomingMessage> {
  const { method, url, body, addresses, connectTimeoutMs } = asked;
  const isSecure = url.protocol === "https:";
  const length = body === undefined ? {} : { "content-length": Buffer.byteLength(body) };
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const request = (isSecure ? httpsRequest : httpRequest)(
    url,
    {
      method,
      agent: agentFor(asked, isSecure),
      signal,
      headers: { "user-agent": "berth", ...length, ...asked.headers },
      ...(addresses !== undefined && { lookup: fixed(addresses) }),
    },
    resolve,
  );
  request.on("error", reject);
  let timer: NodeJS.Timeout | undefined;
  if (connectTimeoutMs !== undefined) {
    const late = () => request.destroy(new Error(`no connection within ${connectTimeoutMs} ms`));
    timer = setTimeout(late, connectTimeoutMs);
    request.on("socket", (socket) =>
      socket.once(isSecure ? "secureConnect" : "connect", () => clearTimeout(timer)),
    );
  }
  request.end(body);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
  }
}

function agentFor({ trust, proxy }: OutboundRequest, isSecure: boolean): HttpAgent {
  const options = {
    keepAlive: false,
    ...(proxy !== undefined && { proxyEnv: { HTTP_PROXY: proxy, HTTPS_PROXY: proxy } }),
  };
  return isSecure ? new HttpsAgent({ ...options, secureContext: trust }) : new HttpAgent(options);
}

/** Answers with what was checked, however often the platform asks. */
function fixed(addresses: readonly LookupAddress[]): LookupFunction {
  const [first = { address: "", family: 0 }] = addresses;
  return (_host, options, callback) => {
    if (options.all === true) callback(null, [...addresses]);
    else callback(null, first.address, first.family);
  };
}

/** The whole body as text; rejects, and destroys it, when it has more than `bytesMax`. */
export async function readText(answer: IncomingMessage, bytesMax: number): Promise<string> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of answer as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > bytesMax) throw new Error(`an answer of more than ${bytesMax} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts).toString();
}
