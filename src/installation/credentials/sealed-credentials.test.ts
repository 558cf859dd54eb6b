import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { CredentialId } from "../../domain/credential.ts";
import { TenantId } from "../../domain/ids.ts";
import { parseSecretKeys } from "../../endpoint/secret-settings/secret-keys.ts";
import { silentLog } from "../../observe/log.ts";
import { createCredentialSource, resealCredentials, sealCredentials } from "./sealed-credentials.ts";

const keyText = (id: string) => `${id}:${randomBytes(32).toString("base64")}`;
const [FIRST, SECOND] = [keyText("k1"), keyText("k2")];
const keysOf = (...texts: string[]) => parseSecretKeys(texts.join(), "BERTH_SECRET_KEYS");

const tenantId = TenantId.parse(crypto.randomUUID());
const asked = {
  ...({ tenantId, pluginId: "acme/x", kind: "tool", provider: "x", need: "required" } as const),
  ...{ named: undefined, field: "credential_id", model: undefined },
} as const;

function world() {
  const id = CredentialId.parse(crypto.randomUUID());
  const owner = { tenantId, id };
  const row = {
    ...{ id, tenantId, name: "main", isDefault: true },
    sealed: sealCredentials(keysOf(FIRST), owner, { key: "hidden" }),
  };
  const store = {
    credentials: {
      ofProvider: async () => [row],
      sealedOtherwise: async (_key: string, after: unknown) => (after === undefined ? [{ ...row }] : []),
      reseal: async ({ sealed, expected }: { sealed: string; expected: string }) => {
        if (row.sealed === expected) row.sealed = sealed;
        return true;
      },
    },
  };
  return { store: store as never, row };
}

test("credentials are stored encrypted, and open for their tenant and with their key only", async () => {
  const { store, row } = world();
  expect(row.sealed).not.toContain("hidden");
  expect(await createCredentialSource({ store, keys: keysOf(FIRST) }).find(asked)).toEqual({ key: "hidden" });
  await expect(createCredentialSource({ store, keys: keysOf(SECOND) }).find(asked)).rejects.toMatchObject({
    code: "secret_unreadable",
    message: expect.stringContaining("the key k1, which BERTH_SECRET_KEYS does not contain"),
  });
  row.id = CredentialId.parse(crypto.randomUUID());
  await expect(createCredentialSource({ store, keys: keysOf(FIRST) }).find(asked)).rejects.toMatchObject({
    code: "secret_unreadable",
  });
});

test("a new key encrypts again what another has encrypted", async () => {
  const { store, row } = world();
  await resealCredentials({ store, keys: keysOf(SECOND, FIRST), log: silentLog }, AbortSignal.timeout(5000));
  expect(row.sealed).toMatch(/^berth:1:k2:/);
  expect(await createCredentialSource({ store, keys: keysOf(SECOND) }).find(asked)).toEqual({
    key: "hidden",
  });
});

test("nothing is read for a provider that takes no credentials", async () => {
  const source = createCredentialSource({ store: {} as never, keys: keysOf(FIRST) });
  expect(await source.find({ ...asked, need: "none" })).toEqual({});
});
