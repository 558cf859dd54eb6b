/** API keys: each hash once, revoked once, with their latest use, in pages. */
import { expect, it } from "vitest";
import type { TenantId } from "../../../src/domain/ids.ts";
import { SCOPES } from "../../../src/domain/scope.ts";
import type { ApiKey } from "../../../src/store/contracts/keys.ts";
import type { Store } from "../../../src/store/store.ts";
import { aTenant } from "../../harness/samples/tenant-rows.ts";

export function keyContract(keys: () => Store["keys"]): void {
  const aKey = (tenantId: TenantId, changes: Partial<ApiKey> = {}) =>
    keys().create({ name: "k", hint: "berth_0000", hash: crypto.randomUUID(), tenantId, ...changes });

  it("revokes a key once and refuses a second one with the same hash", async () => {
    const hash = crypto.randomUUID();
    const key = await keys().create({ name: "n", hint: "bk_1", hash, tenantId: undefined });
    await expect(keys().create({ name: "n", hint: "bk_1", hash, tenantId: undefined })).rejects.toMatchObject(
      {
        code: "conflict",
      },
    );
    const revoked = await keys().revoke(key.id);
    expect(revoked.revokedAt).toBeInstanceOf(Date);
    expect((await keys().revoke(key.id)).revokedAt).toEqual(revoked.revokedAt);
    await expect(keys().revoke("nobody")).rejects.toMatchObject({ code: "not_found" });
  });

  it("a key keeps its scopes, its expiry and its latest use, even when an earlier use is written later", async () => {
    const tenantId = aTenant();
    const expiresAt = new Date(Date.now() + 60_000);
    const made = await aKey(tenantId, { scopes: ["read"], expiresAt });
    expect(made).toMatchObject({ scopes: ["read"], expiresAt, lastUsedAt: undefined });
    const plain = await aKey(tenantId);
    expect(plain).toMatchObject({ scopes: SCOPES, expiresAt: undefined });
    const at = new Date("2026-02-03T04:05:06.789Z");
    await keys().noteUse([
      { id: made.id, at },
      { id: plain.id, at: new Date(1) },
    ]);
    await keys().noteUse([{ id: made.id, at: new Date(at.getTime() - 1000) }]);
    const { items } = await keys().page({ tenantId }, { limit: 10 });
    expect(items.map(({ id, lastUsedAt }) => [id, lastUsedAt])).toEqual([
      [plain.id, new Date(1)],
      [made.id, at],
    ]);
  });

  it("keys are paged newest first with revoked keys, which the list of valid keys leaves out", async () => {
    const tenantId = aTenant();
    const made: string[] = [];
    for (let n = 0; n < 5; n += 1) made.unshift((await aKey(tenantId)).id);
    await keys().revoke(made[2] ?? "");
    const seen: string[] = [];
    for (let cursor: string | undefined, isLast = false; !isLast; isLast = cursor === undefined) {
      const page = await keys().page({ tenantId }, { limit: 2, ...(cursor !== undefined && { cursor }) });
      seen.push(...page.items.map(({ id }) => id));
      cursor = page.nextCursor;
    }
    expect(seen).toEqual(made);
    const inForce = (await keys().list()).filter((key) => key.tenantId === tenantId);
    expect(inForce.map(({ id }) => id).sort()).toEqual(made.filter((id) => id !== made[2]).sort());
  });
}
