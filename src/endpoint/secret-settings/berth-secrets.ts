/** Secrets that Berth encrypts itself, each bound to its tenant, its endpoint and its name. */
import { Fault } from "../../domain/fault.ts";
import type { JsonMap } from "../../domain/json.ts";
import { isSealedText, openText, sealText } from "../../util/sealed-text.ts";
import { secretNames } from "./mask.ts";
import type { SecretKeys } from "./secret-keys.ts";
import type { SecretKeeper, SettingsOwner } from "./secrets.ts";

/** Where a secret belongs. */
export type SecretPlace = Pick<SettingsOwner, "tenantId" | "endpointId"> & { readonly name: string };

export function createBerthSecrets({ keys }: { readonly keys: SecretKeys }): SecretKeeper {
  return {
    seal: async (owner, settings) =>
      eachSecret(owner, settings, (text, place) => sealText(keys, boundTo(place), text)),
    open: async (owner, stored) =>
      eachSecret(owner, stored, (text, place) => (isSealedText(text) ? open(keys, place, text) : text)),
    forget: () => Promise.resolve(),
  };
}

/** Encrypts again, with the first key, every value that Berth has encrypted. */
export function resealSettings(keys: SecretKeys, at: Omit<SecretPlace, "name">, stored: JsonMap): JsonMap {
  return mapSettings(stored, (value, name) => {
    const place = { ...at, name };
    return isSealedText(value) ? sealText(keys, boundTo(place), open(keys, place, value)) : value;
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

function open(keys: SecretKeys, place: SecretPlace, text: string): string {
  try {
    return openText(keys, boundTo(place), text);
  } catch (cause) {
    throw unreadable(place, cause instanceof Error ? cause.message : String(cause), cause);
  }
}

function boundTo({ tenantId, endpointId, name }: SecretPlace): readonly string[] {
  return [tenantId, endpointId, name];
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
