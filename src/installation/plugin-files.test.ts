import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { aPool } from "../../test/harness/builders/a-pool.ts";
import { anInstallation } from "../../test/harness/builders/an-installation.ts";
import { BERTH_ITSELF } from "../domain/audit.ts";
import { TenantId } from "../domain/ids.ts";
import { parseSecretKeys } from "../endpoint/secret-settings/secret-keys.ts";
import { silentLog } from "../observe/log.ts";
import type { PluginFileRows, StoredPluginFile } from "../store/contracts/plugin-files.ts";
import { createPluginFiles, openPluginFiles, resealPluginFiles } from "./plugin-files.ts";

const keyText = (id: string) => `${id}:${randomBytes(32).toString("base64")}`;
const FIRST = keyText("k1");
const keysOf = (...texts: string[]) => parseSecretKeys(texts.join(), "BERTH_SECRET_KEYS");
const installation = anInstallation({ poolKey: aPool().key });
const { tenantId, pluginId } = installation;
const SECRET = Buffer.from([0, 255, 128, 10]);

function world({ isShared = false, keys = keysOf(FIRST) } = {}) {
  const files = new Map<string, StoredPluginFile>();
  let changes = 0;
  const pluginFiles: PluginFileRows = {
    list: async () => [...files.values()],
    contentsOf: async () => [...files.values()],
    put: async ({ file, allow }) => {
      allow([...files.values()]);
      changes += 1;
      const stored = { ...file, changedAt: new Date() };
      files.set(file.name, stored);
      return stored;
    },
    remove: async ({ name }) => files.delete(name),
    sealedOtherwise: async (_key, after) =>
      after === undefined ? [...files.keys()].map((name) => ({ id: name, name, tenantId, pluginId })) : [],
    reseal: async (name, change) => {
      const found = files.get(name);
      if (found !== undefined) files.set(name, { ...found, content: change(found.content) });
    },
  };
  const pools = { find: async () => aPool({ tenantId: isShared ? undefined : tenantId }) };
  const store = { pluginFiles, pools: pools as never };
  const use = createPluginFiles({ store, keys, limits: { fileBytesMax: 8, filesBytesMax: 10 } });
  const put = (name: string, content: Buffer, secret = false) =>
    use.put({ installation, name, content, secret, by: BERTH_ITSELF });
  return { store, use, put, stored: () => [...files.values()], changes: () => changes };
}

test("a secret is stored encrypted, without a digest, and opens for its tenant and plugin only", async () => {
  const { store, put, stored } = world();
  expect(await put("k.pem", SECRET, true)).toMatchObject({ bytes: 4, sha256: undefined });
  expect(stored()[0]?.content).toMatch(/^berth:1:k1:/);
  const opened = await openPluginFiles({ store, keys: keysOf(FIRST) }, { tenantId, pluginId });
  expect(opened).toEqual([{ name: "k.pem", content: SECRET }]);
  const other = { tenantId: TenantId.parse(crypto.randomUUID()), pluginId };
  await expect(openPluginFiles({ store, keys: keysOf(FIRST) }, other)).rejects.toMatchObject({
    code: "secret_unreadable",
    message: expect.stringMatching(/The file k.pem of .* cannot be read/),
  });
});

test("the same content again changes nothing, so that no container is replaced", async () => {
  const { put, changes } = world();
  await put("a", SECRET, true);
  await put("a", SECRET, true);
  expect(changes()).toBe(1);
  await put("a", SECRET);
  await put("a", SECRET);
  expect(changes()).toBe(2);
  await put("a", Buffer.from("x"));
  expect(changes()).toBe(3);
});

test("a new key encrypts again what another has encrypted", async () => {
  const { store, put, stored } = world();
  await put("k", SECRET, true);
  const second = keyText("k2");
  const keys = keysOf(second, FIRST);
  await resealPluginFiles({ store, keys, log: silentLog }, AbortSignal.timeout(5000));
  expect(stored()[0]?.content).toMatch(/^berth:1:k2:/);
  expect(await openPluginFiles({ store, keys: keysOf(second) }, { tenantId, pluginId })).toEqual([
    { name: "k", content: SECRET },
  ]);
});

test.each(["", ".hidden", "-x", "a/b", "..", "a b", "x".repeat(129)])(
  "the name %j is refused",
  async (name) => {
    await expect(world().put(name, SECRET)).rejects.toMatchObject({
      code: "invalid_input",
      details: { field: "name", value: name },
    });
  },
);

test("files that are too large together are refused, and a replaced one counts once", async () => {
  const { put } = world();
  await put("a", Buffer.alloc(8));
  await put("a", Buffer.alloc(6));
  await expect(put("b", Buffer.alloc(5))).rejects.toMatchObject({
    code: "invalid_input",
    details: { field: "files", accepted: expect.stringContaining("10 bytes together") },
  });
});

test("files of a plugin whose containers tenants share are refused, and so is the removal of one that is not there", async () => {
  await expect(world({ isShared: true }).put("a", SECRET)).rejects.toMatchObject({ code: "conflict" });
  const removing = world().use.remove({ installation, name: "a", by: BERTH_ITSELF });
  await expect(removing).rejects.toMatchObject({ code: "not_found", details: { value: "a" } });
});
