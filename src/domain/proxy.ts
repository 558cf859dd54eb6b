/** Proxies for builds, plugins and downloads. Berth's other connections do not use them. */
export interface Proxies {
  /** For `http://` addresses. A URL that may hold `user:password@`. */
  readonly http: string | undefined;
  /** For `https://` addresses. */
  readonly https: string | undefined;
  /** Hosts that are reached directly, separated by commas or spaces; `*`: all. */
  readonly bypass: string;
}

export const NO_PROXIES: Proxies = Object.freeze({ http: undefined, https: undefined, bypass: "" });

/** A program that connects to its own machine never means the proxy's. No `::1`: some clients fail on it. */
const OWN_MACHINE = ["localhost", "127.0.0.1"];

/**
 * The environment variables, in both cases: curl reads `http_proxy` in lower case only, other programs in upper case
 * only. Empty where no proxy is set.
 */
export function proxyVariables({ http, https, bypass }: Proxies): Record<string, string> {
  if (http === undefined && https === undefined) return {};
  const values = { http_proxy: http, https_proxy: https, no_proxy: bypassList(bypass) };
  return Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) =>
      value === undefined
        ? []
        : [
            [name, value],
            [name.toUpperCase(), value],
          ],
    ),
  );
}

/** The proxy for one of Berth's own requests to this URL; undefined: connect directly. */
export function proxyFor(url: URL, { http, https, bypass }: Proxies): string | undefined {
  const proxy = url.protocol === "https:" ? https : http;
  const isDirect = bypassList(bypass)
    .split(",")
    .some((entry) => bypasses(entry.toLowerCase(), url));
  return isDirect ? undefined : proxy;
}

/** An entry is a host, a domain with or without a leading dot, an address, or a star; optionally with a port. */
function bypasses(entry: string, { hostname, port, protocol }: URL): boolean {
  if (entry === "*") return true;
  const [, host = entry, entryPort] = /^(.*[^:\]]|\[.*\]):(\d+)$/.exec(entry) ?? [];
  if (entryPort !== undefined && entryPort !== (port || (protocol === "https:" ? "443" : "80"))) return false;
  const name = host.replace(/^\*?\./, "").replace(/^\[|\]$/g, "");
  const asked = hostname.replace(/^\[|\]$/g, "");
  return asked === name || asked.endsWith(`.${name}`);
}

function bypassList(bypass: string): string {
  const hosts = bypass.split(/[\s,]+/).filter((host) => host !== "");
  // Python's own client takes a star for "all" only where it stands alone.
  return hosts.includes("*") ? "*" : [...new Set([...OWN_MACHINE, ...hosts])].join(",");
}
