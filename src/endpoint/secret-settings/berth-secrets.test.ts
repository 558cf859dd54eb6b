import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { EndpointId } from "../../domain/endpoint.ts";
import { isFault } from "../../domain/fault.ts";
import { TenantId } from "../../domain/ids.ts";
import { createBerthSecrets, resealSettings } from "./berth-secrets.ts";
import { withoutPlatform } from "./platform-secrets.ts";
import { parseSecretKeys } from "./secret-keys.ts";
import type { SettingsOwner } from "./secrets.ts";

const base64 = () => randomBytes(32).toString("base64");
const [FIRST, SECOND] = [`k1:${base64()}`, `k2:${base64()}`];
const keysOf = (text: string) => parseSecretKeys(text, "a test");
const secretsOf = (text: string) => createBerthSecrets({ keys: keysOf(text) });
const never = new AbortController().signal;

const secret = (name: string) => ({
  name,
  type: "secret-input",
  isRequired: false,
  scope: undefined,
  options: [],
});
const OWNER: SettingsOwner = {
  tenantId: TenantId.parse("6f1a1c1e-0000-4000-8000-000000000001"),
  endpointId: EndpointId.parse("6f1a1c1e-0000-7000-8000-00000000000a"),
  userId: "",
  fields: [secret("key"), secret("other"), { ...secret("url"), type: "text-input" }],
  declared: [],
};
const SETTINGS = { key: "s3cret", other: "", url: "https://example.org", flag: true };

test("an encrypted secret can be decrypted, and only secrets are encrypted", async () => {
  const secrets = secretsOf(FIRST);
  const sealed = await secrets.seal(OWNER, SETTINGS, never);
  expect(sealed).toMatchObject({ url: SETTINGS.url, flag: true });
  expect(sealed["key"]).toMatch(/^berth:1:k1:[\w-]{16}:[\w-]+$/);
  expect(JSON.stringify(sealed)).not.toContain("s3cret");
  expect(await secrets.open(OWNER, sealed, never)).toEqual(SETTINGS);
});

test("the same secret never gives the same text twice", async () => {
  const secrets = secretsOf(FIRST);
  const texts = await Promise.all(
    Array.from({ length: 50 }, async () => (await secrets.seal(OWNER, SETTINGS, never))["key"]),
  );
  expect(new Set(texts).size).toBe(50);
});

test.each<[string, SettingsOwner]>([
  ["another tenant", { ...OWNER, tenantId: TenantId.parse("6f1a1c1e-0000-4000-8000-000000000002") }],
  ["another endpoint", { ...OWNER, endpointId: EndpointId.parse("6f1a1c1e-0000-7000-8000-00000000000b") }],
])("a secret cannot be decrypted for %s", async (_name, owner) => {
  const sealed = await secretsOf(FIRST).seal(OWNER, SETTINGS, never);
  await expect(secretsOf(FIRST).open(owner, sealed, never)).rejects.toMatchObject({
    code: "secret_unreadable",
  });
});

test("a secret cannot be decrypted under another name, or with one changed character", async () => {
  const secrets = secretsOf(FIRST);
  const { key } = await secrets.seal(OWNER, SETTINGS, never);
  const refused = { code: "secret_unreadable" };
  await expect(secrets.open(OWNER, { other: key }, never)).rejects.toMatchObject(refused);
  const text = String(key);
  for (const place of [12, 20, text.length - 8]) {
    const changed = text.slice(0, place) + (text[place] === "A" ? "B" : "A") + text.slice(place + 1);
    await expect(secrets.open(OWNER, { key: changed }, never)).rejects.toMatchObject(refused);
  }
});

test("keys rotate: the first one encrypts, all decrypt, and re-encrypted secrets need no other key", async () => {
  const old = await secretsOf(FIRST).seal(OWNER, SETTINGS, never);
  const both = keysOf(`${SECOND},${FIRST}`);
  expect(await createBerthSecrets({ keys: both }).open(OWNER, old, never)).toEqual(SETTINGS);
  const anew = resealSettings(both, OWNER, old);
  expect(anew["key"]).toMatch(/^berth:1:k2:/);
  expect(await secretsOf(SECOND).open(OWNER, anew, never)).toEqual(SETTINGS);
});

test("the refusal of a secret whose key is missing names the key, and no value", async () => {
  const sealed = await secretsOf(FIRST).seal(OWNER, SETTINGS, never);
  const refused = await secretsOf(SECOND)
    .open(OWNER, sealed, never)
    .catch((error: unknown) => error);
  if (!isFault(refused, "secret_unreadable")) throw new Error("it opened");
  expect(refused.message).toContain("the key k1, which BERTH_SECRET_KEYS does not contain");
  expect(refused.message).not.toContain(String(sealed["key"]));
});

test("another key with the same id is distinguished from a missing one", async () => {
  const sealed = await secretsOf(FIRST).seal(OWNER, SETTINGS, never);
  await expect(secretsOf(`k1:${base64()}`).open(OWNER, sealed, never)).rejects.toThrow(
    "k1 now names another key",
  );
});

test("without a platform, secrets that it encrypted are refused with the settings that help, and plain values stay", async () => {
  const secrets = withoutPlatform(secretsOf(FIRST));
  const hybrid = Buffer.concat([Buffer.from("HYBRID:"), randomBytes(300)]).toString("base64");
  for (const key of [hybrid, randomBytes(256).toString("base64")])
    await expect(secrets.open(OWNER, { key }, never)).rejects.toThrow("BERTH_DIFY_INNER_URL");
  expect(await secrets.open(OWNER, { key: "plain" }, never)).toEqual({ key: "plain" });
});

test.each([
  ["", "contains no key"],
  ["k1", 'no id of letters, digits, "_" and "-"'],
  ["k 1:abc", 'no id of letters, digits, "_" and "-"'],
  [`k1:${randomBytes(16).toString("base64")}`, "is not 32 bytes"],
  [`k1:${"A".repeat(42)}!=`, "is not 32 bytes"],
  [`k1:${base64()},k1:${base64()}`, "two keys with the same id"],
])("the keys %j are refused", (text, problem) => {
  expect(() => keysOf(text)).toThrow(problem);
});
