/**
 * Secrets that the platform holds: its inner API encrypts and decrypts them with a key per tenant that only it has.
 */
import { Fault } from "../../domain/fault.ts";
import { isMap, type JsonMap } from "../../domain/json.ts";
import type { InnerApi } from "../../platform/inner-api.ts";
import { isSealedText } from "../../util/sealed-text.ts";
import { unreadable } from "./berth-secrets.ts";
import { secretNames } from "./mask.ts";
import type { SecretKeeper, SettingsOwner } from "./secrets.ts";

type Option = "encrypt" | "decrypt" | "clear";

/** Also decrypts secrets that Berth encrypted before a platform was configured. */
export function createPlatformSecrets({
  innerApi,
  berth,
}: {
  readonly innerApi: InnerApi;
  readonly berth: SecretKeeper;
}): SecretKeeper {
  const ask = async (opt: Option, owner: SettingsOwner, data: JsonMap, signal: AbortSignal) => {
    if (secretNames(owner.fields).size === 0) return data;
    const { tenantId, userId, endpointId, declared } = owner;
    const answer = await innerApi.post(
      "invoke/encrypt",
      {
        tenant_id: tenantId,
        user_id: userId,
        type: "encrypt",
        opt,
        namespace: "endpoint",
        identity: endpointId,
        data,
        config: declared,
      },
      signal,
    );
    const changed = Reflect.get(Object(answer), "data");
    if (isMap(changed)) return changed;
    if (opt === "clear") return data;
    throw new Fault("platform_refused", "The platform's answer has no settings.", {
      context: { why: "data is nil" },
    });
  };
  return {
    seal: (owner, settings, signal) => ask("encrypt", owner, settings, signal),
    open: async (owner, stored, signal) => {
      const ours = Object.entries(stored).filter(
        ([name, value]) => secretNames(owner.fields).has(name) && isSealedText(value),
      );
      if (ours.length === 0) return await ask("decrypt", owner, stored, signal);
      return await berth.open(owner, stored, signal);
    },
    forget: async (owner, settings, signal) => void (await ask("clear", owner, settings, signal)),
  };
}

/** For a Berth without a platform: reports secrets that a platform has encrypted instead of passing them on. */
export function withoutPlatform(berth: SecretKeeper): SecretKeeper {
  return {
    ...berth,
    open: async (owner, stored, signal) => {
      const { tenantId, endpointId, fields } = owner;
      for (const name of secretNames(fields))
        if (isSealedByPlatform(stored[name]))
          throw unreadable(
            { tenantId, endpointId, name },
            "the platform encrypted it; set BERTH_DIFY_INNER_URL and BERTH_DIFY_INNER_KEY so that Berth can ask it",
          );
      return await berth.open(owner, stored, signal);
    },
  };
}

/** Dify's prefix, or, in its first releases, one block of RSA. */
const HYBRID = Buffer.from("HYBRID:");
const RSA_BYTES = 256;

function isSealedByPlatform(value: unknown): boolean {
  if (typeof value !== "string" || !/^[A-Za-z0-9+/]+={0,2}$/.test(value)) return false;
  const bytes = Buffer.from(value, "base64");
  return bytes.length === RSA_BYTES || bytes.subarray(0, HYBRID.length).equals(HYBRID);
}
