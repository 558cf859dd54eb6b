/** The operator's settings about the network of plugins. */

import type { EgressPolicy } from "../domain/egress.ts";

/**
 * The default of installations, and the most that one may have. With mode `open`, the destinations of `allow` are open
 * although they are closed otherwise, for installations of all modes.
 */
export interface EgressSettings extends EgressPolicy {
  /** `host:port` of the proxies that the operator gives to plugins. */
  readonly proxies: readonly string[];
  /** `host:port` of the package indexes. */
  readonly indexes: readonly string[];
  /** Name to IPv4 address, or to `gateway`: the host's address on the bridge. */
  readonly hosts: Readonly<Record<string, string>>;
  /** Of the bridges together; undefined lets the engine choose. */
  readonly subnet: string | undefined;
  /** How often the guard reports decisions. */
  readonly reportMs: number;
}
