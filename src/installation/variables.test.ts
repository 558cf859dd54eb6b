import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { aPool } from "../../test/harness/builders/a-pool.ts";
import { anInstallation } from "../../test/harness/builders/an-installation.ts";
import { BERTH_ITSELF } from "../domain/audit.ts";
import { TenantId } from "../domain/ids.ts";
import type { PluginVariable } from "../domain/variables.ts";
import { parseSecretKeys } from "../endpoint/secret-settings/secret-keys.ts";
import { silentLog } from "../observe/log.ts";
import { createPluginVariables, openVariables, resealVariables } from "./variables.ts";

const keyText = (id: string) => `${id}:${randomBytes(32).toString("base64")}`;
const FIRST = keyText("k1");
const keysOf = (...texts: string[]) => parseSecretKeys(texts.join(), "BERTH_SECRET_KEYS");
const installation = anInstallation({ poolKey: aPool().key });
const { tenantId, pluginId } = installation;

function world(isShared = false) {
  let variables: readonly PluginVariable[] = [];
  const store = {
    pools: { find: async () => aPool({ tenantId: isShared ? undefined : tenantId }) },
    variables: {
      get: async () => variables,
      replace: async (change: { readonly variables: readonly PluginVariable[] }) => {
        variables = change.variables;
        return true;
      },
      sealedOtherwise: async (_key: string, after: unknown) =>
        after === undefined ? [{ id: installation.id, tenantId, pluginId, variables }] : [],
    },
  };
  return { store: store as never, stored: () => variables };
}

const SECRET = { TOKEN: { value: "hidden", secret: true } };

test("a secret is stored encrypted, opens for its tenant and plugin only, and its version hides it", async () => {
  const keys = keysOf(FIRST);
  const { store } = world();
  const [token] = await createPluginVariables({ store, keys }).replace({
    installation,
    variables: SECRET,
    by: BERTH_ITSELF,
  });
  if (token === undefined) throw new Error("it is not stored");
  expect(JSON.stringify(token)).not.toContain("hidden");
  expect(openVariables(keys, { tenantId, pluginId, variables: [token] })).toEqual({ TOKEN: "hidden" });
  const elsewhere = { tenantId: TenantId.parse(crypto.randomUUID()), pluginId, variables: [token] };
  expect(() => openVariables(keys, elsewhere)).toThrow(/The variable TOKEN of .* cannot be read/);
  expect(() => openVariables(keysOf(keyText("k2")), { tenantId, pluginId, variables: [token] })).toThrow(
    "the key k1, which BERTH_SECRET_KEYS does not contain",
  );
});

test("a secret that stays the same keeps its version, so that no container is replaced", async () => {
  const { store } = world();
  const use = createPluginVariables({ store, keys: keysOf(FIRST) });
  const first = await use.replace({ installation, variables: SECRET, by: BERTH_ITSELF });
  expect(await use.replace({ installation, variables: SECRET, by: BERTH_ITSELF })).toEqual(first);
  const named = { TOKEN: { secret: true } };
  expect(await use.replace({ installation, variables: named, by: BERTH_ITSELF })).toEqual(first);
  const changed = { TOKEN: { value: "other", secret: true } };
  expect(await use.replace({ installation, variables: changed, by: BERTH_ITSELF })).not.toEqual(first);
});

test("a new key encrypts again what another has encrypted, and the version stays", async () => {
  const { store, stored } = world();
  await createPluginVariables({ store, keys: keysOf(FIRST) }).replace({
    installation,
    variables: SECRET,
    by: BERTH_ITSELF,
  });
  const [before] = stored();
  const second = keyText("k2");
  await resealVariables({ store, keys: keysOf(second, FIRST), log: silentLog }, AbortSignal.timeout(5000));
  const [after] = stored();
  expect(after).toMatchObject({ sealed: expect.stringMatching(/^berth:1:k2:/) });
  expect(Reflect.get(after ?? {}, "version")).toBe(Reflect.get(before ?? {}, "version"));
  expect(openVariables(keysOf(second), { tenantId, pluginId, variables: stored() })).toEqual({
    TOKEN: "hidden",
  });
});

test("variables of a plugin whose containers tenants share are refused", async () => {
  const { store } = world(true);
  const use = createPluginVariables({ store, keys: keysOf(FIRST) });
  await expect(use.replace({ installation, variables: SECRET, by: BERTH_ITSELF })).rejects.toMatchObject({
    code: "conflict",
  });
});
