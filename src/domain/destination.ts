/** What a plugin may connect to. */
import { z } from "zod";

export interface Destination {
  /** A name in lower case, `*.` in front for all names below it, an IPv4 address, or an IPv4 network. */
  readonly host: string;
  /** Undefined for an address or network: all ports. */
  readonly port: number | undefined;
}

export const DESTINATION_ACCEPTED =
  "`host:port`, `*.example.com:port`, IPv4 addresses and networks (`10.1.0.0/16`)";

const NAME = /^(\*\.)?[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)*$/;

/** Undefined for any other text. A name needs a port; an address without one stands for all its ports. */
export function parseDestination(text: string): Destination | undefined {
  const lower = text.toLowerCase();
  const [, host = lower, digits] = /^(.*):(\d{1,5})$/.exec(lower) ?? [];
  const port = digits === undefined ? undefined : Number(digits);
  if (port !== undefined && (port < 1 || port > 65_535)) return undefined;
  if (isNetwork(host)) return { host, port };
  // A malformed address is an error, not a name.
  const isName = NAME.test(host) && host.length <= 253 && !/^[\d.]+$/.test(host);
  return isName && port !== undefined ? { host, port } : undefined;
}

/** The destination that a URL leads to. None for IPv6: the plugins' network has no IPv6. */
export function destinationOf({ protocol, hostname, port }: URL): string[] {
  const text = `${hostname}:${port === "" ? (protocol === "https:" ? 443 : 80) : port}`;
  return parseDestination(text) === undefined ? [] : [text];
}

function isNetwork(text: string): boolean {
  const [address = "", prefix = "32", ...rest] = text.split("/");
  return (
    z.ipv4().safeParse(address).success &&
    rest.length === 0 &&
    /^\d{1,2}$/.test(prefix) &&
    Number(prefix) <= 32
  );
}
