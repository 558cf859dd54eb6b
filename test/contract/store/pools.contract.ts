/** Pools: their uids, the lease of the worker that holds one, what workers ask of it, and its end. */
import { expect, it } from "vitest";
import { RuntimeId } from "../../../src/domain/ids.ts";
import type { Store } from "../../../src/store/store.ts";
import { AHEAD_MS, CAUSE, LEASE_MS, LIMITS } from "./accepting.ts";

/** An installation that points to a pool. */
export interface PoolUser {
  disable(): Promise<void>;
  uninstall(): Promise<void>;
}

export interface PoolSubject extends Pick<Store, "pools" | "runtimes"> {
  use(poolKey: string): Promise<PoolUser>;
}

export function poolContract(subject: () => PoolSubject): void {
  const pools = () => subject().pools;
  const pool = (key: string) => ({
    key,
    tenantId: undefined,
    pluginId: "acme/p",
    identifier: "acme/p:1@a",
    imageKey: "k",
    imageRef: "r",
    runner: { entrypoint: "main" },
    limits: LIMITS,
    wanted: true,
  });

  it("gives each pool its own uid, which stays the same", async () => {
    const keys = Array.from({ length: 4 }, () => crypto.randomUUID());
    const made = await Promise.all([...keys, ...keys].map((key) => pools().ensure(pool(key))));
    expect(new Set(made.map(({ uidOffset }) => uidOffset)).size).toBe(4);
    expect(await pools().ensure({ ...pool(keys[0] ?? ""), imageRef: "r2", wanted: false })).toMatchObject({
      uidOffset: made[0]?.uidOffset,
      imageRef: "r2",
      wanted: false,
    });
  });

  it("lets the holder renew its lease, refuses other workers, and hands the lease over when it is released", async () => {
    const key = crypto.randomUUID();
    await pools().ensure(pool(key));
    const holder = `worker-${key}`;
    expect((await pools().claim(key, holder, LEASE_MS))?.lease?.attempt).toBe(1);
    expect((await pools().claim(key, holder, LEASE_MS))?.lease?.attempt).toBe(1);
    expect(await pools().claim(key, "worker-2", LEASE_MS)).toBeUndefined();
    await pools().releaseAll(holder);
    expect((await pools().claim(key, "worker-2", LEASE_MS))?.lease).toMatchObject({
      holder: "worker-2",
      attempt: 2,
    });
  });

  it("renews the leases that a holder has, and gives it none that has expired or that another one has", async () => {
    const [mine, expired, others, gone] = Array.from({ length: 4 }, () => crypto.randomUUID());
    const keys = [mine ?? "", expired ?? "", others ?? ""];
    for (const key of keys) await pools().ensure(pool(key));
    const before = await pools().claim(mine ?? "", "holder", LEASE_MS);
    await pools().claim(expired ?? "", "holder", 0);
    await pools().claim(others ?? "", "other", LEASE_MS);
    expect(await pools().renew([...keys, gone ?? ""], "holder", 2 * LEASE_MS)).toEqual([mine]);
    const after = await pools().find(mine ?? "");
    expect(after?.lease).toMatchObject({ holder: "holder", attempt: before?.lease?.attempt });
    expect(after?.lease?.expiresAt.getTime()).toBeGreaterThan(before?.lease?.expiresAt.getTime() ?? 0);
  });

  it("names the pools that a holder releases, and no others", async () => {
    const [mine, others] = [crypto.randomUUID(), crypto.randomUUID()];
    for (const key of [mine, others]) await pools().ensure(pool(key));
    await pools().claim(mine, `worker-${mine}`, LEASE_MS);
    await pools().claim(others, `worker-${others}`, LEASE_MS);
    expect(await pools().releaseAll(`worker-${mine}`)).toEqual([mine]);
    expect((await pools().find(others))?.lease).toBeDefined();
  });

  it("numbers concurrent start requests, and keeps the newest answer", async () => {
    const key = crypto.randomUUID();
    expect(await pools().ensure(pool(key))).toMatchObject({ startAsked: 0, startAnswered: 0 });
    const asked = await Promise.all([1, 2, 3].map(() => pools().askStart(key)));
    expect(asked.sort()).toEqual([1, 2, 3]);
    await pools().answerStart(key, 2, CAUSE);
    await pools().answerStart(key, 1, undefined);
    expect(await pools().find(key)).toMatchObject({ startAnswered: 2, startFault: CAUSE });
    await pools().answerStart(key, 3, undefined);
    expect(await pools().find(key)).toMatchObject({ startAnswered: 3, startFault: undefined });
    await expect(pools().askStart("none")).rejects.toMatchObject({ code: "not_found" });
  });

  it("cancels a requested removal if the pool is needed again", async () => {
    const key = crypto.randomUUID();
    await pools().ensure(pool(key));
    await pools().askRemoval(key, true);
    expect((await pools().find(key))?.removalAsked).toBe(false);
    expect(await pools().unwantUnused(key)).toBe(true);
    await pools().askRemoval(key, true);
    expect((await pools().find(key))?.removalAsked).toBe(true);
    expect((await pools().ensure(pool(key))).removalAsked).toBe(false);
  });

  it("gives the lease to another worker if it was written before the clock was set back", async () => {
    const key = crypto.randomUUID();
    await pools().ensure(pool(key));
    expect((await pools().claim(key, "dead", AHEAD_MS))?.lease?.attempt).toBe(1);
    expect((await pools().claim(key, "next", LEASE_MS))?.lease).toMatchObject({ holder: "next", attempt: 2 });
    expect(await pools().claim(key, "third", LEASE_MS)).toBeUndefined();
  });

  it("applies new limits when the pool is reported as serving, and drops them if the start fails", async () => {
    const key = crypto.randomUUID();
    await pools().ensure(pool(key));
    const limits = { ...LIMITS, pidsMax: 7 };
    const refused = await pools().askReplace(key, limits);
    await pools().answerStart(key, refused, CAUSE);
    expect(await pools().find(key)).toMatchObject({ limits: LIMITS, nextLimits: undefined });
    const first = await pools().askReplace(key, limits);
    const second = await pools().askReplace(key, { ...limits, pidsMax: 8 });
    await pools().answerStart(key, first, undefined);
    expect((await pools().find(key))?.limits.pidsMax).toBe(LIMITS.pidsMax);
    await pools().answerStart(key, second, undefined);
    expect(await pools().find(key)).toMatchObject({ limits: { pidsMax: 8 }, nextLimits: undefined });
  });

  it("requires a runtime newer than all others, until the start fails or is withdrawn", async () => {
    const key = crypto.randomUUID();
    await pools().ensure(pool(key));
    const id = RuntimeId.parse(key.replaceAll("-", "").slice(0, 10));
    const runtime = { id, poolKey: key, slot: 0, generation: 3, containerName: `c-${id}`, specHash: "h" };
    await subject().runtimes.create(runtime);
    const failed = await pools().askReplace(key, undefined);
    expect((await pools().find(key))?.generationMin).toBe(4);
    await pools().answerStart(key, failed, CAUSE);
    expect((await pools().find(key))?.generationMin).toBe(0);
    const withdrawn = await pools().askReplace(key, undefined);
    await pools().withdraw(key, withdrawn);
    expect(await pools().find(key)).toMatchObject({ startAnswered: withdrawn, generationMin: 0 });
    const late = await pools().askReplace(key, undefined);
    await pools().withdraw(key, withdrawn);
    expect(await pools().find(key)).toMatchObject({ startAnswered: withdrawn, generationMin: 4 });
    await pools().answerStart(key, late, undefined);
    expect(await pools().find(key)).toMatchObject({ startAnswered: late, generationMin: 4 });
  });

  it("keeps a pool that an installation points to, and removes it when the last one is uninstalled", async () => {
    const key = crypto.randomUUID();
    const user = await subject().use(key);
    await pools().ensure(pool(key));
    expect(await pools().unwantUnused(key)).toBe(false);
    expect(await pools().removeUnused(key)).toBe(false);
    await user.uninstall();
    expect(await pools().unwantUnused(key)).toBe(true);
    expect((await pools().find(key))?.wanted).toBe(false);
    expect(await pools().removeUnused(key)).toBe(true);
    expect(await pools().find(key)).toBeUndefined();
    expect(await pools().unwantUnused(key)).toBe(false);
  });

  it("stops wanting a pool when every installation that points to it is disabled", async () => {
    const key = crypto.randomUUID();
    const user = await subject().use(key);
    await pools().ensure(pool(key));
    expect(await pools().unwantIdle(key)).toBe(false);
    expect((await pools().find(key))?.wanted).toBe(true);
    await user.disable();
    expect(await pools().unwantIdle(key)).toBe(true);
    expect((await pools().find(key))?.wanted).toBe(false);
    expect(await pools().unwantUnused(key)).toBe(false);
  });

  it("refuses to change a pool that does not exist, and ignores answers and withdrawals for it", async () => {
    const key = crypto.randomUUID();
    const idle = { state: "idle", cause: undefined, nextStartAt: undefined } as const;
    const changes = [
      () => pools().setState(key, idle),
      () => pools().setWanted(key, true),
      () => pools().askReplace(key, undefined),
    ];
    for (const change of changes) await expect(change()).rejects.toMatchObject({ code: "not_found" });
    await pools().withdraw(key, 1);
    await pools().answerStart(key, 1, undefined);
    await pools().askRemoval(key, true);
    expect(await pools().claim(key, "worker", LEASE_MS)).toBeUndefined();
  });

  it("lists the newest pool first", async () => {
    const keys: string[] = [crypto.randomUUID(), crypto.randomUUID()];
    for (const key of keys) await pools().ensure(pool(key));
    const listed = (await pools().list()).map(({ key }) => key).filter((key) => keys.includes(key));
    expect(listed).toEqual(keys.toReversed());
  });
}
