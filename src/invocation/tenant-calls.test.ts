import { describe, expect, it } from "vitest";
import { TenantId } from "../domain/ids.ts";
import type { CallsQuota } from "../domain/tenant-quotas.ts";
import { TenantCalls } from "./tenant-calls.ts";

const aTenant = () => TenantId.parse(crypto.randomUUID());

describe("calls of a tenant", () => {
  it("are refused beyond its quota, which may change, and never those of other tenants", () => {
    let quota: CallsQuota | undefined = { callsMax: 2, processes: 1 };
    const calls = new TenantCalls(() => quota);
    const [mine, other] = [aTenant(), aTenant()];
    expect([calls.enter(mine), calls.enter(mine)]).toEqual([undefined, undefined]);
    expect(calls.enter(mine)).toMatchObject({
      code: "quota_calls",
      details: { quota: "calls", max: 2, used: 2, asked: 1 },
    });
    expect(calls.enter(other)).toBeUndefined();
    calls.leave(mine);
    expect(calls.openOf(mine)).toBe(1);
    expect(calls.enter(mine)).toBeUndefined();
    quota = undefined;
    expect(calls.enter(mine)).toBeUndefined();
    for (let left = 3; left > 0; left--) calls.leave(mine);
    expect(calls.openOf(mine)).toBe(0);
  });

  it("are shared among the processes that answer calls", () => {
    const calls = new TenantCalls(() => ({ callsMax: 3, processes: 2 }));
    const tenant = aTenant();
    for (let place = 0; place < 2; place++) expect(calls.enter(tenant)).toBeUndefined();
    expect(calls.enter(tenant)).toMatchObject({
      message: expect.stringContaining("share of 3 among 2"),
      details: { max: 2, callsMax: 3, processes: 2 },
    });
  });
});
