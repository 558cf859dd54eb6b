/** What the operator chooses about the network of plugins. */

import type { EgressPolicy } from "../domain/egress.ts";

/**
 * The default of Installations, and the most that one may have. With `open`, what it allows is open although it is
 * closed otherwise, in all modes.
 */
export interface EgressSettings extends EgressPolicy {
  /** `host:port` of the proxies that the operator gives to plugins. */
  readonly proxies: readonly string[];
  /** `host:port` of the package indexes. */
  readonly indexes: readonly string[];
  /** Name to IPv4 address, or to `gateway`: the host's own on the bridge. */
  readonly hosts: Readonly<Record<string, string>>;
  /** Of the bridges together; undefined leaves the Engine's choice. */
  readonly subnet: string | undefined;
  /** How often decisions are told. */
  readonly reportMs: number;
}
