import { isFault, toFault } from "../../domain/fault.ts";
import type { Log } from "../../observe/log.ts";
import type { EndpointRecord } from "../../store/contracts/endpoints.ts";
import type { Store } from "../../store/store.ts";
import { resealSettings } from "./berth-secrets.ts";
import type { SecretKeys } from "./secret-keys.ts";

const AT_ONCE = 100;

/**
 * Encrypts again, with the first key, what another key has encrypted, so that the other key can be removed. Safe beside
 * concurrent updates: the first write wins, and a row that cannot be decrypted stays unchanged. Never throws; logs one
 * line with the counts.
 */
export async function resealAll(
  {
    store,
    keys,
    log,
  }: { readonly store: Pick<Store, "endpoints">; readonly keys: SecretKeys; readonly log: Log },
  signal: AbortSignal,
): Promise<void> {
  const counts = { resealed: 0, unreadable: 0 };
  try {
    let last: EndpointRecord | undefined;
    do {
      const found = await store.endpoints.sealedOtherwise(keys.first.id, last?.id, AT_ONCE);
      for (const record of found) if (!signal.aborted) counts[await resealOne(store, keys, record)] += 1;
      last = found.at(-1);
    } while (last !== undefined && !signal.aborted);
    if (counts.resealed + counts.unreadable === 0) return;
    log.info({ op: "endpoint.reseal", ok: counts.unreadable === 0, key: keys.first.id, ...counts });
  } catch (error) {
    log.warn({ op: "endpoint.reseal", ok: false, ...counts, err: toFault(error) });
  }
}

async function resealOne(
  store: Pick<Store, "endpoints">,
  keys: SecretKeys,
  { id, tenantId, settings, revision }: EndpointRecord,
): Promise<"resealed" | "unreadable"> {
  try {
    const sealed = resealSettings(keys, { tenantId, endpointId: id }, settings);
    await store.endpoints.reseal({ id, settings: sealed, expected: revision });
    return "resealed";
  } catch (error) {
    if (isFault(error, "secret_unreadable")) return "unreadable";
    throw error;
  }
}
