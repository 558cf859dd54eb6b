/**
 * One HTTP request from Berth to another host. This file alone handles connection, TLS, proxy, abort, connect timeout
 * and answer size. The caller decides which hosts may be asked and what an answer means: `createHttpClient` follows the
 * URLs of strangers, `createInnerApi` asks the platform.
 *
 * Each request has its own connection, which ends with it: a kept one may be closed by the server while a request is on
 * its way, or may have been opened for another host or with another token.
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
  /** The authorities that the certificate of an `https:` server is verified against. */
  readonly trust: SecureContext;
  /** The proxy's URL; if absent, the host is reached directly. */
  readonly proxy?: string | undefined;
  /** Addresses that were checked: one of them is used, and the name is not resolved again. */
  readonly addresses?: readonly LookupAddress[] | undefined;
  /** For the connection, including its TLS. No limit if absent. */
  readonly connectTimeoutMs?: number;
}

/**
 * Resolves with the head of the answer, whatever its status; the caller reads the body to its end or destroys it.
 * Rejects with Node's own error where the connection fails, with `no connection within <ms> ms`, or with Node's
 * AbortError when the signal aborts. An abort after the head cuts the body: reading it fails with ECONNRESET.
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

/** Always answers with the checked addresses. */
function fixed(addresses: readonly LookupAddress[]): LookupFunction {
  const [first = { address: "", family: 0 }] = addresses;
  return (_host, options, callback) => {
    if (options.all === true) callback(null, [...addresses]);
    else callback(null, first.address, first.family);
  };
}

/** The whole body as text; rejects, and destroys it, when it exceeds `bytesMax`. */
export async function readText(answer: IncomingMessage, bytesMax: number): Promise<string> {
  return (await readBytes(answer, bytesMax)).toString();
}

/** An answer has more bytes than its reader takes. */
export class AnswerTooLarge extends Error {}

/** As `readText`, without decoding. Rejects with `AnswerTooLarge`. */
export async function readBytes(answer: IncomingMessage, bytesMax: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of answer as AsyncIterable<Buffer>) {
    bytes += part.length;
    if (bytes > bytesMax) throw new AnswerTooLarge(`an answer of more than ${bytesMax} bytes`);
    parts.push(part);
  }
  return Buffer.concat(parts);
}
