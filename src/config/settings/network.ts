/** The network of builds, plugins and downloads: authorities, proxies, egress. */
import { destinations, hosts, oneOf, optional, proxyUrl, type Setting, subnet, text } from "../kinds.ts";

export const NETWORK = {
  BERTH_CA_BUNDLE: optional(
    "PEM file of certificate authorities that builds, plugins and Berth trust in addition to the public ones",
  ),
  HTTP_PROXY: proxyUrl(
    "Proxy of builds, plugins and package downloads for `http://` addresses; may contain a password. Berth's other traffic does not use it",
  ),
  HTTPS_PROXY: proxyUrl("The same for `https://` addresses"),
  NO_PROXY: text(
    "",
    "Hosts that builds, plugins and package downloads reach without a proxy, comma-separated",
  ),
  BERTH_EGRESS: oneOf(
    ["open", "list", "none"],
    "open",
    "What plugins may reach. `open`: everything except the host, each other and link-local addresses; `list`: only `BERTH_EGRESS_ALLOW`; `none`: nothing",
  ),
  BERTH_EGRESS_ALLOW: destinations(
    "Destinations that plugins may reach: with `list` only these, with `open` also those of the host or link-local",
  ),
  BERTH_EGRESS_HOSTS: hosts(
    "Names in the hosts file of plugins; `gateway` stands for the host itself (`host.docker.internal=gateway`)",
  ),
  BERTH_EGRESS_SUBNET: subnet(
    "Network of the plugins' bridges; if unset, the engine picks one. Each kind of bridge gets half of it",
  ),
} as const satisfies Record<string, Setting<unknown>>;
