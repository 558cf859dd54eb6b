/** What a process polls: it sees each change of another process at its next read, and its own. */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RuntimeId } from "../../src/domain/ids.ts";
import { NO_QUOTAS } from "../../src/domain/tenant-quotas.ts";
import type { Store } from "../../src/store/store.ts";
import { Scope } from "../../src/util/scope.ts";
import { aPoolKey, ensurePool } from "../harness/builders/a-pool-row.ts";
import { ON_POSTGRES } from "../harness/rigs/stores.ts";
import { anInstall, aPackage, aTenant } from "../harness/samples/tenant-rows.ts";

describe.each(ON_POSTGRES)("rows that are polled, on $name", ({ create }) => {
  const scope = new Scope();
  let here: Store;
  let there: Store;
  beforeAll(async () => {
    const database = scope.use(await create());
    here = scope.use(await database.open());
    there = scope.use(await database.open());
  });
  afterAll(() => scope.close());

  const tenantId = aTenant();
  const key = aPoolKey();
  const runtime = RuntimeId.parse(key.slice(0, 10));
  const process = { id: `p-${key}`, role: "api", host: "h", pid: 1 } as const;

  /** What `here` has read before, what `there` then writes, and what `here` reads next. */
  const groups = [
    {
      name: "keys",
      read: async () => (await here.keys.list()).map(({ name }) => name),
      write: () => there.keys.create({ name: key, hint: "h", hash: key, tenantId: undefined }),
      expected: [key],
    },
    {
      name: "pools",
      read: async () => (await here.pools.list()).map((pool) => pool.state),
      write: () => ensurePool(there, { key, tenantId, pkg: aPackage() }),
      expected: ["idle"],
    },
    {
      name: "a change of one pool",
      read: async () => (await here.pools.list()).map((pool) => pool.state),
      write: () => there.pools.setState(key, { state: "starting", cause: undefined, nextStartAt: undefined }),
      expected: ["starting"],
    },
    {
      name: "runtimes",
      read: async () => (await here.runtimes.listLive()).map(({ id }) => id),
      write: () =>
        there.runtimes.create({
          id: runtime,
          poolKey: key,
          slot: 0,
          generation: 1,
          containerName: "c",
          specHash: "h",
        }),
      expected: [runtime],
    },
    {
      name: "the end of a runtime",
      read: async () => (await here.runtimes.listLive()).map(({ id }) => id),
      write: () => there.runtimes.end(runtime, { reason: "stopped" }),
      expected: [],
    },
    {
      name: "processes",
      read: async () => (await here.processes.listLive()).map(({ id }) => id),
      write: () => there.processes.announce(process, 60_000),
      expected: [process.id],
    },
    {
      name: "the leave of a process",
      read: async () => (await here.processes.listLive()).map(({ id }) => id),
      write: () => there.processes.leave(process.id),
      expected: [],
    },
  ];
  it.each(groups)("include $name", async ({ read, write, expected }) => {
    const before = await read();
    expect(await read()).toEqual(before);
    await write();
    expect(await read()).toEqual(expected);
    expect(await read()).toEqual(expected);
  });

  it("include installations, tasks, quotas and network policies", async () => {
    const pkg = aPackage();
    await there.packages.put(pkg, {});
    const { at } = await here.installations.changedSince(undefined);
    expect(await here.installations.changedSince(at)).toEqual({ items: [], removed: [], at });
    expect(await here.tasks.listClaimable(10)).toEqual([]);
    expect((await here.tenants.listQuotas()).size).toBe(0);
    const { installation, task } = await there.installations.acceptInstall(anInstall(pkg, tenantId));
    await there.tenants.setQuotas(tenantId, { ...NO_QUOTAS, callsMax: 3 });
    await there.installations.setNextPool(installation.id, key);
    const policy = { mode: "none", allow: [] } as const;
    await there.egress.set(installation.id, policy, undefined);
    const changed = await here.installations.changedSince(at);
    expect(changed.items.map(({ id }) => id)).toEqual([installation.id]);
    expect((await here.tasks.listClaimable(10)).map(({ id }) => id)).toEqual([task.id]);
    expect((await here.tenants.listQuotas()).get(tenantId)).toMatchObject({ callsMax: 3 });
    expect(await here.egress.list()).toEqual(new Map([[key, policy]]));
  });
});
