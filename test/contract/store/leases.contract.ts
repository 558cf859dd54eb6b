/** Leases of what one process does at a time. */
import { expect, it } from "vitest";
import type { Store } from "../../../src/store/store.ts";
import { AHEAD_MS, LEASE_MS } from "./accepting.ts";

export function leaseContract(leases: () => Store["leases"]): void {
  it("gives a lease to another holder if it was written before the clock was set back", async () => {
    const lease = crypto.randomUUID();
    expect(await leases().take(lease, "dead", AHEAD_MS)).toBe(true);
    expect(await leases().isTaken(lease)).toBe(false);
    expect(await leases().take(lease, "next", LEASE_MS)).toBe(true);
    expect(await leases().take(lease, "third", LEASE_MS)).toBe(false);
    expect(await leases().isTaken(lease)).toBe(true);
  });
}
