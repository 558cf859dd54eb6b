import type { IncomingMessage } from "node:http";
import { Fault } from "../../domain/fault.ts";
import { malformed } from "./refusals.ts";

/**
 * Requests that Node accepts and Berth refuses, checked once before anything is done. HTTP/1.0 is served, with a Host:
 * proxies use it by default. An upgrade to HTTP/2 is ignored, as the standard allows: some clients offer one by default
 * and continue without. Any other upgrade is refused, because its client would wait for it.
 */
export function refusalOf(incoming: IncomingMessage, headersMax: number): Fault | undefined {
  const { rawHeaders, headers, httpVersion, url = "" } = incoming;
  const count = rawHeaders.length / 2;
  if (count > headersMax) {
    return new Fault(
      "headers_too_large",
      `The request has ${count} headers; accepted: at most ${headersMax}.`,
      {
        details: { field: "headers", value: count, accepted: `at most ${headersMax}` },
      },
    );
  }
  if (httpVersion !== "1.1" && httpVersion !== "1.0") return malformed(`version ${httpVersion}`);
  if (!url.startsWith("/")) return malformed("the request target is not a path");
  if (headers.host === undefined || headers.host === "") return malformed("it has no Host header");
  const twice = repeated(rawHeaders, url.startsWith("/e/"));
  if (twice !== undefined) return malformed(`it has more than one ${twice} header`);
  const { upgrade } = headers;
  if (upgrade !== undefined && upgrade.toLowerCase() !== "h2c")
    return malformed("this server supports no upgrade");
  return undefined;
}

/** Implementations differ in which of several counts, so a proxy in front may have checked another one. */
const ONCE = new Set([
  "host",
  "authorization",
  "content-type",
  "x-api-key",
  "x-admin-api-key",
  "x-plugin-id",
  "x-plugin-unique-identifier",
  "x-timeout-ms",
  "idempotency-key",
]);

/** On hooks only Host is checked: the plugin reads the other headers. */
function repeated(rawHeaders: readonly string[], isHook: boolean): string | undefined {
  const seen = new Set<string>();
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = (rawHeaders[at] ?? "").toLowerCase();
    if (!ONCE.has(name) || (isHook && name !== "host")) continue;
    if (seen.has(name)) return rawHeaders[at];
    seen.add(name);
  }
  return undefined;
}
