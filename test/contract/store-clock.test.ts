/** Leases whose end lies so far ahead that the clock must have been set back since: nobody waits for them. */
import { randomBytes } from "node:crypto";
import { describe, expect, it } from "vitest";
import type { Store } from "../../src/store/store.ts";
import { aPool } from "../harness/builders/a-pool.ts";
import { DATABASES, useStore } from "../harness/rigs/stores.ts";

const LEASE_MS = 10_000;
/** What a holder has written whose clock was an hour ahead. */
const AHEAD_MS = 3_600_000 + LEASE_MS;

describe.each(DATABASES)("a lease from before the clock was set back, on $name", ({ create }) => {
  let store: Store;
  useStore(create, (opened) => {
    store = opened;
  });
  const name = () => randomBytes(8).toString("hex");

  it("keeps nobody from a Pool; its holder is fenced", async () => {
    const key = name();
    await store.pools.ensure(aPool({ key }));
    expect((await store.pools.claim(key, "dead", AHEAD_MS))?.lease?.attempt).toBe(1);
    expect((await store.pools.claim(key, "next", LEASE_MS))?.lease).toMatchObject({
      holder: "next",
      attempt: 2,
    });
    expect(await store.pools.claim(key, "third", LEASE_MS)).toBeUndefined();
  });

  it("keeps nobody from a build", async () => {
    const key = name();
    await store.images.claim(key, "package", "dead", AHEAD_MS);
    expect(await store.images.claim(key, "package", "next", LEASE_MS)).toEqual({
      outcome: "claimed",
      attempt: 2,
    });
    expect(await store.images.claim(key, "package", "third", LEASE_MS)).toMatchObject({ outcome: "held" });
  });

  it("does not count a process as live", async () => {
    const [dead, next] = [name(), name()];
    const record = { role: "serve", host: "h", pid: 1 } as const;
    await store.processes.announce({ ...record, id: dead }, AHEAD_MS);
    await store.processes.announce({ ...record, id: next }, LEASE_MS);
    expect((await store.processes.listLive()).map(({ id }) => id)).toEqual([next]);
  });

  it("keeps nobody from what is done by one process at a time", async () => {
    const lease = name();
    expect(await store.leases.take(lease, "dead", AHEAD_MS)).toBe(true);
    expect(await store.leases.isTaken(lease)).toBe(false);
    expect(await store.leases.take(lease, "next", LEASE_MS)).toBe(true);
    expect(await store.leases.take(lease, "third", LEASE_MS)).toBe(false);
    expect(await store.leases.isTaken(lease)).toBe(true);
  });
});
