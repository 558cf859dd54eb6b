import type { EgressSettings } from "../../../src/egress/settings.ts";

/** A network that refuses nothing of its own accord. */
export const OPEN_EGRESS: EgressSettings = {
  mode: "open",
  allow: [],
  proxies: [],
  indexes: [],
  hosts: {},
  subnet: undefined,
  reportMs: 10_000,
};
