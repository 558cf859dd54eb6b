/** Processes: live until their time has run out or they leave. */
import { expect, it } from "vitest";
import type { Store } from "../../../src/store/store.ts";
import { AHEAD_MS, LEASE_MS } from "./accepting.ts";

export function processContract(processes: () => Store["processes"]): void {
  it("counts a process as live until its time expires or it leaves", async () => {
    const [id, short, gone] = Array.from({ length: 3 }, () => crypto.randomUUID().slice(0, 8));
    const live = async () => (await processes().listLive()).map((process) => process.id);
    const self = { role: "api", host: "h", pid: 7 } as const;
    await processes().announce({ ...self, id: id ?? "" }, LEASE_MS);
    await processes().announce({ ...self, id: short ?? "" }, 1);
    await processes().announce({ ...self, id: gone ?? "" }, LEASE_MS);
    await processes().leave(gone ?? "");
    await expect.poll(live).not.toContain(short);
    expect(await live()).toContain(id);
    expect(await live()).not.toContain(gone);
    await processes().announce({ ...self, id: short ?? "" }, LEASE_MS);
    const found = (await processes().listLive()).find((process) => process.id === short);
    expect(found).toMatchObject(self);
    expect(Math.abs((found?.startedAt.getTime() ?? 0) - Date.now())).toBeLessThan(60_000);
  });

  it("does not count a process whose expiry was written before the clock was set back", async () => {
    const [dead, next] = [crypto.randomUUID().slice(0, 8), crypto.randomUUID().slice(0, 8)];
    const self = { role: "serve", host: "h", pid: 1 } as const;
    await processes().announce({ ...self, id: dead }, AHEAD_MS);
    await processes().announce({ ...self, id: next }, LEASE_MS);
    const live = (await processes().listLive()).map(({ id }) => id);
    expect(live).toContain(next);
    expect(live).not.toContain(dead);
  });
}
