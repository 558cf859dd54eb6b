/**
 * The keys with which authors connect plugins of a tenant. The database has a key's hash, to find it, and the key itself
 * encrypted, because each tenant is told the same key for as long as it is in use. One that cannot be decrypted any more
 * is replaced.
 */
import { createHash, randomUUID } from "node:crypto";
import type { Actor } from "../domain/audit.ts";
import type { TenantId } from "../domain/ids.ts";
import type { Store } from "../store/store.ts";
import { openText, type SealKeys, sealText } from "../util/sealed-text.ts";
import { KEY_MS } from "./settings.ts";

export interface DebuggingKey {
  readonly key: string;
  readonly expiresAt: Date;
}

export interface DebuggingKeys {
  /** The tenant's key, valid for two hours from now on. Throws `conflict` while the tenant is being removed. */
  issue(tenantId: TenantId, by?: Actor): Promise<DebuggingKey>;
  /** The tenant of a key that is valid, which it is for two hours from now on; undefined for any other. */
  use(key: string): Promise<TenantId | undefined>;
}

export interface DebuggingKeysDeps {
  readonly store: { readonly debug: Pick<Store["debug"], "issueKey" | "useKey"> };
  readonly keys: SealKeys;
}

export function createDebuggingKeys({ store, keys }: DebuggingKeysDeps): DebuggingKeys {
  return {
    issue: async (tenantId, by) => {
      const place = ["debugging_key", tenantId];
      const key = randomUUID();
      const { sealed, expiresAt } = await store.debug.issueKey(tenantId, {
        made: { hash: hashOf(key), sealed: sealText(keys, place, key) },
        isUsable: (known) => canOpen(keys, place, known),
        lifeMs: KEY_MS,
        ...(by !== undefined && { by }),
      });
      return { key: openText(keys, place, sealed), expiresAt };
    },
    use: (key) => store.debug.useKey(hashOf(key), KEY_MS),
  };
}

function hashOf(key: string): string {
  return createHash("sha256").update(key).digest("hex");
}

function canOpen(keys: SealKeys, place: readonly string[], sealed: string): boolean {
  try {
    openText(keys, place, sealed);
    return true;
  } catch {
    return false;
  }
}
