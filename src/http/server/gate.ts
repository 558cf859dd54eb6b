import type { IncomingMessage } from "node:http";
import { Fault } from "../../domain/fault.ts";
import { malformed } from "./refusals.ts";

/**
 * What Node lets pass and Berth does not: looked at once, before anything is done for the request. HTTP/1.0 is served
 * (proxies speak it by default), with a Host. An upgrade to HTTP/2 is not heard, as the standard allows: some clients
 * ask for one by default and go on without; any other upgrade is refused, because its client would wait for it.
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
  if (!url.startsWith("/")) return malformed("the request target is no path");
  if (headers.host === undefined || headers.host === "") return malformed("there is no Host");
  const twice = repeated(rawHeaders, url.startsWith("/e/"));
  if (twice !== undefined) return malformed(`there is more than one ${twice}`);
  const { upgrade } = headers;
  if (upgrade !== undefined && upgrade.toLowerCase() !== "h2c")
    return malformed("nothing can be upgraded to here");
  return undefined;
}

/** Readers differ in which of several counts, so that one before Berth could have checked another. */
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

/** Of a hook all but the Host is its plugin's to read. */
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
