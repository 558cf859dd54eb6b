/** Credentials: visible to their tenant only, one default for each provider and each model with its own. */
import { expect, it } from "vitest";
import type { InstallationId, TenantId } from "../../../src/domain/ids.ts";
import type { NewCredential } from "../../../src/store/contracts/credentials.ts";
import type { Store } from "../../../src/store/store.ts";
import { aTenant } from "../../harness/samples/tenant-rows.ts";

export interface CredentialSubject {
  /** All but the search for what another key sealed. */
  readonly credentials: Omit<Store["credentials"], "sealedOtherwise" | "reseal">;
  install(
    tenantId: TenantId,
  ): Promise<{ readonly installationId: InstallationId; readonly pluginId: string }>;
}

export function credentialContract(subject: () => CredentialSubject): void {
  const rows = () => subject().credentials;
  async function aProvider() {
    const tenantId = aTenant();
    return { tenantId, kind: "model", provider: "m", ...(await subject().install(tenantId)) } as const;
  }
  const keep = (
    provider: Awaited<ReturnType<typeof aProvider>>,
    name: string,
    more: Partial<NewCredential> = {},
  ) =>
    rows().create({
      ...provider,
      id: rows().newId(),
      model: undefined,
      name,
      fields: ["key"],
      sealed: "s",
      ...more,
    });

  it("the first credential of a provider is its default, and so is the first of a model", async () => {
    const provider = await aProvider();
    const model = { model: "x", modelType: "llm" };
    const [first, second] = [await keep(provider, "a"), await keep(provider, "b")];
    const own = await keep(provider, "own", { model });
    expect([first.isDefault, second.isDefault, own.isDefault]).toEqual([true, false, true]);
    expect(own.model).toEqual(model);
    const { tenantId, pluginId, kind } = provider;
    expect(await rows().ofProvider({ tenantId, pluginId, kind, provider: "m" })).toEqual([
      first,
      second,
      own,
    ]);
    expect((await rows().list({ tenantId }, { limit: 2 })).items).toEqual([own, second]);
    expect((await rows().list({ tenantId, kind: "tool" }, { limit: 2 })).items).toEqual([]);
  });

  it("another one can be made the default, and only then the earlier default can be removed", async () => {
    const provider = await aProvider();
    const [first, second] = [await keep(provider, "a"), await keep(provider, "b")];
    await expect(rows().remove(first)).rejects.toMatchObject({ code: "conflict" });
    expect((await rows().makeDefault(second)).isDefault).toBe(true);
    expect((await rows().find(first))?.isDefault).toBe(false);
    await rows().remove(first);
    await rows().remove(second);
    expect(await rows().find(second)).toBeUndefined();
  });

  it("a name is taken within its provider only", async () => {
    const provider = await aProvider();
    await keep(provider, "a");
    await expect(keep(provider, "a")).rejects.toMatchObject({ code: "conflict" });
    expect((await keep(provider, "a", { provider: "other" })).isDefault).toBe(true);
  });

  it("new values replace the earlier ones, and nothing else", async () => {
    const made = await keep(await aProvider(), "a");
    const { tenantId, id } = made;
    const after = await rows().replace({ tenantId, id, fields: ["key", "url"], sealed: "t" });
    expect(after).toEqual({ ...made, fields: ["key", "url"], sealed: "t", updatedAt: after.updatedAt });
  });

  it("another tenant's credential is treated as if it did not exist", async () => {
    const { id } = await keep(await aProvider(), "a");
    const theirs = { id, tenantId: aTenant() };
    const refused = { code: "credential_not_found" };
    expect(await rows().find(theirs)).toBeUndefined();
    await expect(rows().makeDefault(theirs)).rejects.toMatchObject(refused);
    await expect(rows().remove(theirs)).rejects.toMatchObject(refused);
    await expect(rows().replace({ ...theirs, fields: [], sealed: "t" })).rejects.toMatchObject(refused);
  });
}
