/**
 * GET requests to hosts that others name. Each hop is checked before it is connected to, a redirect as much as the
 * first address; a token goes to the origin that it belongs to and no further.
 */

import type { IncomingMessage } from "node:http";
import type { SecureContext } from "node:tls";
import type { Fault } from "../domain/fault.ts";
import { type Proxies, proxyFor } from "../domain/proxy.ts";
import { withoutQuery } from "../domain/source.ts";
import { isNameUnknown } from "../util/network-failure.ts";
import { sendRequest } from "../util/outbound-request.ts";
import { waitOrAbort } from "../util/wait.ts";
import type { Address, AddressPolicy } from "./address.ts";
import { unusable } from "./failures.ts";

export interface HttpGet {
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent to the URL's own origin alone, and never again after a redirect to another. */
  readonly token?: string | undefined;
}

export interface HttpAnswer {
  readonly status: number;
  readonly headers: IncomingMessage["headers"];
  /** Where the redirects ended. */
  readonly url: URL;
  /** The caller reads it to its end or destroys it. */
  readonly body: IncomingMessage;
}

export interface HttpClient {
  /**
   * Resolves with the first answer that is no redirect, whatever its status. Throws `source_address_refused`,
   * `source_unusable`, and what the platform says of a connection that cannot be made.
   */
  get(request: HttpGet, signal: AbortSignal): Promise<HttpAnswer>;
}

export interface HttpClientDeps {
  readonly policy: AddressPolicy;
  readonly proxies: Proxies;
  /** What the servers' certificates are checked against. */
  readonly trust: SecureContext;
  readonly redirectsMax: number;
}

const REDIRECTS = [301, 302, 303, 307, 308];

export function createHttpClient(deps: HttpClientDeps): HttpClient {
  return {
    async get({ url, headers = {}, token }, signal) {
      let at = new URL(url);
      let isHome = true;
      for (let hops = 0; ; hops += 1) {
        const authorization = isHome && token !== undefined ? { authorization: `Bearer ${token}` } : {};
        const answer = await getOnce(deps, { url: at, headers: { ...headers, ...authorization } }, signal);
        if (!REDIRECTS.includes(answer.statusCode ?? 0))
          return { status: answer.statusCode ?? 0, headers: answer.headers, url: at, body: answer };
        answer.destroy();
        if (hops >= deps.redirectsMax) throw tooManyRedirects(url, deps.redirectsMax);
        const next = nextHop(at, answer.headers.location);
        isHome &&= next.origin === at.origin;
        at = next;
      }
    },
  };
}

/** Never from `https` down to `http`: what was meant to be secret, and unchanged, would travel in the open. */
function nextHop(from: URL, location: string | undefined): URL {
  const where = withoutQuery(from);
  if (location === undefined || !URL.canParse(location, from.href))
    throw unusable(`${where} redirects to nowhere.`);
  const next = new URL(location, from.href);
  if (next.protocol !== "https:" && next.protocol !== from.protocol)
    throw unusable(`${where} redirects to ${next.protocol} instead of https:.`);
  if (next.username !== "" || next.password !== "")
    throw unusable(`${where} redirects to an address with a user or password in it.`);
  return next;
}

interface Hop {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
}

async function getOnce(deps: HttpClientDeps, { url, headers }: Hop, signal: AbortSignal) {
  signal.throwIfAborted();
  const proxy = proxyFor(url, deps.proxies);
  const addresses = await waitOrAbort(addressesOf(deps, url, proxy), signal);
  const accepting = { accept: "*/*", "accept-encoding": "identity", ...headers };
  return await sendRequest(
    { method: "GET", url, headers: accepting, trust: deps.trust, proxy, addresses },
    signal,
  );
}

/**
 * Through a proxy it is the proxy that resolves the name and connects. What is known of the host here is checked all
 * the same; a name that only the proxy knows is left to it.
 */
async function addressesOf(
  { policy }: HttpClientDeps,
  { hostname }: URL,
  proxy: string | undefined,
): Promise<readonly Address[] | undefined> {
  const host = hostname.replace(/^\[|\]$/g, "");
  if (proxy === undefined) return await policy.resolve(host);
  try {
    await policy.resolve(host);
  } catch (error) {
    if (!isNameUnknown(error)) throw error;
  }
  return undefined;
}

function tooManyRedirects(url: string, redirectsMax: number): Fault {
  return unusable(`${withoutQuery(url)} redirects more than ${redirectsMax} times.`);
}
