import { isFault } from "../../domain/fault.ts";
import type { Log } from "../../observe/log.ts";
import type { EndpointRecord } from "../../store/contracts/endpoints.ts";
import { resealRows } from "../../store/reseal-rows.ts";
import type { Store } from "../../store/store.ts";
import { resealSettings } from "./berth-secrets.ts";
import type { SecretKeys } from "./secret-keys.ts";

/** Encrypts the settings of endpoints again, as `resealRows` does. */
export async function resealAll(
  {
    store,
    keys,
    log,
  }: { readonly store: Pick<Store, "endpoints">; readonly keys: SecretKeys; readonly log: Log },
  signal: AbortSignal,
): Promise<void> {
  await resealRows<EndpointRecord>(
    {
      op: "endpoint.reseal",
      keys,
      log,
      rows: store.endpoints,
      reseal: (record) => resealOne(store, keys, record),
    },
    signal,
  );
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
