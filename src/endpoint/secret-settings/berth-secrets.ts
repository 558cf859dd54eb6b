/**
 * Secrets that Berth encrypts itself, each with AES-256-GCM and its own nonce, bound to its tenant, its endpoint and
 * its name, so that it cannot be decrypted elsewhere. The key's id is stored with it, so that keys can be rotated.
 */
import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { Fault } from "../../domain/fault.ts";
import type { JsonMap } from "../../domain/json.ts";
import { secretNames } from "./mask.ts";
import type { SecretKeys } from "./secret-keys.ts";
import type { SecretKeeper, SettingsOwner } from "./secrets.ts";

const CIPHER = "aes-256-gcm";
const NONCE_BYTES = 12;
const TAG_BYTES = 16;
/** `berth:1:<key id>:<nonce>:<ciphertext and tag>` */
const SEALED = /^berth:1:([A-Za-z0-9_-]{1,32}):([A-Za-z0-9_-]{16}):([A-Za-z0-9_-]{22,})$/;

/** Where a secret belongs. */
export type SecretPlace = Pick<SettingsOwner, "tenantId" | "endpointId"> & { readonly name: string };

export function isSealedByBerth(value: unknown): value is string {
  return typeof value === "string" && SEALED.test(value);
}

export function createBerthSecrets({ keys }: { readonly keys: SecretKeys }): SecretKeeper {
  return {
    seal: async (owner, settings) =>
      eachSecret(owner, settings, (text, place) => sealText(keys, place, text)),
    open: async (owner, stored) =>
      eachSecret(owner, stored, (text, place) =>
        isSealedByBerth(text) ? openText(keys, place, text) : text,
      ),
    forget: () => Promise.resolve(),
  };
}

/** Encrypts again, with the first key, every value that Berth has encrypted. */
export function resealSettings(keys: SecretKeys, at: Omit<SecretPlace, "name">, stored: JsonMap): JsonMap {
  return mapSettings(stored, (value, name) => {
    if (!isSealedByBerth(value)) return value;
    return sealText(keys, { ...at, name }, openText(keys, { ...at, name }, value));
  });
}

function eachSecret(
  { tenantId, endpointId, fields }: SettingsOwner,
  settings: JsonMap,
  change: (text: string, place: SecretPlace) => string,
): JsonMap {
  const secrets = secretNames(fields);
  return mapSettings(settings, (value, name) =>
    secrets.has(name) && typeof value === "string" ? change(value, { tenantId, endpointId, name }) : value,
  );
}

function mapSettings(settings: JsonMap, change: (value: unknown, name: string) => unknown): JsonMap {
  return Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, change(value, name)]));
}

function sealText({ first }: SecretKeys, place: SecretPlace, text: string): string {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, first.key, nonce, { authTagLength: TAG_BYTES });
  cipher.setAAD(boundTo(place));
  const sealed = Buffer.concat([cipher.update(text, "utf8"), cipher.final(), cipher.getAuthTag()]);
  return `berth:1:${first.id}:${nonce.toString("base64url")}:${sealed.toString("base64url")}`;
}

function openText({ byId }: SecretKeys, place: SecretPlace, text: string): string {
  const [, keyId = "", nonce = "", body = ""] = SEALED.exec(text) ?? [];
  const known = byId.get(keyId);
  if (known === undefined)
    throw unreadable(
      place,
      `it was encrypted with the key ${keyId}, which BERTH_SECRET_KEYS does not contain`,
    );
  const bytes = Buffer.from(body, "base64url");
  try {
    const decipher = createDecipheriv(CIPHER, known.key, Buffer.from(nonce, "base64url"), {
      authTagLength: TAG_BYTES,
    });
    decipher.setAAD(boundTo(place)).setAuthTag(bytes.subarray(-TAG_BYTES));
    return decipher.update(bytes.subarray(0, -TAG_BYTES), undefined, "utf8") + decipher.final("utf8");
  } catch (cause) {
    throw unreadable(
      place,
      `it was modified, belongs to another endpoint, or ${keyId} now names another key`,
      cause,
    );
  }
}

/** As JSON, so that no two places give the same text. */
function boundTo({ tenantId, endpointId, name }: SecretPlace): Buffer {
  return Buffer.from(JSON.stringify([tenantId, endpointId, name]));
}

export function unreadable({ endpointId, name }: SecretPlace, why: string, cause?: unknown): Fault {
  return new Fault(
    "secret_unreadable",
    `The secret ${name} of the endpoint ${endpointId} cannot be read: ${why}.`,
    {
      details: { field: `settings.${name}`, endpoint: endpointId },
      ...(cause !== undefined && { cause }),
    },
  );
}
