/**
 * Decides which addresses a download may connect to. A URL comes from a tenant, or from a server that redirects, and
 * Berth runs inside the operator's network: an address that is not public is refused unless the operator listed it.
 */
import { lookup as dnsLookup } from "node:dns/promises";
import { BlockList, isIP } from "node:net";
import { Fault } from "../domain/fault.ts";

export interface Address {
  readonly address: string;
  readonly family: number;
}

/** Resolves with all addresses of a name; rejects as `dns.lookup` does. */
export type Lookup = (host: string) => Promise<readonly Address[]>;

export const systemLookup: Lookup = (host) => dnsLookup(host, { all: true, verbatim: true });

export interface AddressPolicy {
  /**
   * The allowed addresses of the host. The caller must connect to one of these and not look the name up again: it may
   * have other addresses by then. Throws `source_address_refused`, and what the lookup throws.
   */
  resolve(host: string): Promise<readonly Address[]>;
}

export function createAddressPolicy({
  allowed,
  lookup,
}: {
  readonly allowed: readonly string[];
  readonly lookup: Lookup;
}): AddressPolicy {
  const listed = blockListOf(allowed);
  const isPublic = createPublicCheck();
  return {
    async resolve(host) {
      const family = isIP(host);
      const found = family === 0 ? await lookup(host) : [{ address: host, family }];
      const admitted = found.filter((one) => listed.check(one.address, typeOf(one)) || isPublic(one));
      if (admitted.length === 0) throw refused(host, found);
      return admitted;
    },
  };
}

function createPublicCheck(): (address: Address) => boolean {
  const reserved = blockListOf(RESERVED);
  const global = blockListOf(GLOBAL);
  const translated = blockListOf([TRANSLATED]);
  return (given) => {
    // Addresses with a zone are local to one link.
    if (given.address.includes("%")) return false;
    const one = translated.check(given.address, typeOf(given)) ? embeddedIpv4(given) : given;
    return global.check(one.address, typeOf(one)) && !reserved.check(one.address, typeOf(one));
  };
}

/** The global address space: all of IPv4, also mapped into IPv6, and one eighth of IPv6. */
const GLOBAL = ["0.0.0.0/0", "::ffff:0:0/96", "2000::/3"];

/** The prefix under which an IPv6-only network reaches IPv4 addresses. */
const TRANSLATED = "64:ff9b::/96";

/** The special-purpose registries of IPv4, and of IPv6 within its global part. */
const RESERVED = [
  "0.0.0.0/8",
  "10.0.0.0/8",
  "100.64.0.0/10",
  "127.0.0.0/8",
  "169.254.0.0/16",
  "172.16.0.0/12",
  "192.0.0.0/24",
  "192.0.2.0/24",
  "192.31.196.0/24",
  "192.52.193.0/24",
  "192.88.99.0/24",
  "192.168.0.0/16",
  "192.175.48.0/24",
  "198.18.0.0/15",
  "198.51.100.0/24",
  "203.0.113.0/24",
  "224.0.0.0/4",
  "240.0.0.0/4",
  "2001::/23",
  "2001:db8::/32",
  // Embeds any IPv4 address.
  "2002::/16",
  "2620:4f:8000::/48",
  "3fff::/20",
];

/** The list applies rules for IPv4 also to IPv4 addresses that are mapped into IPv6. */
function blockListOf(networks: readonly string[]): BlockList {
  const list = new BlockList();
  for (const network of networks) {
    const [address = "", prefix] = network.split("/");
    const type = typeOf({ family: isIP(address) });
    if (prefix === undefined) list.addAddress(address, type);
    else list.addSubnet(address, Number(prefix), type);
  }
  return list;
}

function typeOf({ family }: Pick<Address, "family">): "ipv4" | "ipv6" {
  return family === 6 ? "ipv6" : "ipv4";
}

/** The IPv4 address in the last 32 bits. */
function embeddedIpv4({ address }: Address): Address {
  const groups = new URL(`http://[${address}]`).hostname.slice(1, -1).split(":").slice(-2);
  const bytes = groups.flatMap((group) => {
    const value = Number.parseInt(group || "0", 16);
    return [value >> 8, value & 255];
  });
  return { address: bytes.join("."), family: 4 };
}

/** The message keeps the addresses private, which may be inside the operator's network; the log has them. */
function refused(host: string, found: readonly Address[]): Fault {
  return new Fault(
    "source_address_refused",
    `${host} has no public address; to allow it, add its network to BERTH_SOURCE_PRIVATE_NETWORKS.`,
    {
      details: { field: "host", value: host, accepted: "a host with a public address" },
      context: { addresses: found.map(({ address }) => address) },
    },
  );
}
