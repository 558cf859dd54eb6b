import { createTrust, type Trust, type TrustSettings } from "../../../src/installation/trust/trust.ts";
import type { Store } from "../../../src/store/store.ts";
import { systemClock } from "../../../src/util/clock.ts";

/** Signatures are not checked unless a test asks for it. */
export function testTrust(store: Pick<Store, "trust">, changes: Partial<TrustSettings> = {}): Trust {
  const settings = { policy: "off", keys: [], missingCategory: undefined, isVendorChecked: true } as const;
  return createTrust({ store, clock: systemClock, settings: { ...settings, ...changes } });
}
