import type { IncomingMessage } from "node:http";
import { Fault } from "../domain/fault.ts";
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
  if (hasSeveralHosts(rawHeaders)) return malformed("there is more than one Host");
  const { upgrade } = headers;
  if (upgrade !== undefined && upgrade.toLowerCase() !== "h2c")
    return malformed("nothing can be upgraded to here");
  return undefined;
}

function hasSeveralHosts(rawHeaders: readonly string[]): boolean {
  let hosts = 0;
  for (let at = 0; at < rawHeaders.length; at += 2) {
    const name = rawHeaders[at] ?? "";
    if (name.length === 4 && name.toLowerCase() === "host") hosts++;
  }
  return hosts > 1;
}
