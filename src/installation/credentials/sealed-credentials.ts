/** Credentials as they are stored: one encrypted text, bound to its tenant and its id. */
import type { CredentialId } from "../../domain/credential.ts";
import { chooseCredential } from "../../domain/credential.ts";
import { Fault, secretUnreadable } from "../../domain/fault.ts";
import type { TenantId } from "../../domain/ids.ts";
import type { JsonMap } from "../../domain/json.ts";
import type { CredentialAsked, CredentialSource } from "../../invocation/credential-source.ts";
import type { Log } from "../../observe/log.ts";
import type { CredentialRecord } from "../../store/contracts/credentials.ts";
import { resealRows } from "../../store/reseal-rows.ts";
import type { Store } from "../../store/store.ts";
import { openText, type SealKeys, sealText } from "../../util/sealed-text.ts";

interface Parts {
  readonly store: Pick<Store, "credentials">;
  readonly keys: SealKeys;
}

type Owner = { readonly tenantId: TenantId; readonly id: CredentialId };

export function sealCredentials(keys: SealKeys, owner: Owner, credentials: JsonMap): string {
  return sealText(keys, placeOf(owner), JSON.stringify(credentials));
}

export function createCredentialSource({ store, keys }: Parts): CredentialSource {
  return {
    async find(asked) {
      const { tenantId, pluginId, kind, provider, named, need } = asked;
      if (named === undefined && need === "none") return {};
      const all = await store.credentials.ofProvider({ tenantId, pluginId, kind, provider });
      const chosen = chooseCredential(all, asked);
      if (chosen !== undefined) return open(keys, chosen);
      if (need === "required") throw noneKept(asked);
      return {};
    },
  };
}

function noneKept({ tenantId, pluginId, kind, provider, model }: CredentialAsked): Fault {
  const value = `${pluginId}/${provider}`;
  const of = model === undefined ? "" : ` and its ${model.modelType} ${model.model}`;
  return new Fault(
    "credential_not_found",
    `The tenant keeps no credential for the ${kind} provider ${value}${of}; POST /v1/tenants/${tenantId}/credentials keeps one.`,
    { details: { field: "provider", value, accepted: "a provider for which a credential is kept" } },
  );
}

function open(keys: SealKeys, record: CredentialRecord): JsonMap {
  try {
    return JSON.parse(openText(keys, placeOf(record), record.sealed)) as JsonMap;
  } catch (cause) {
    const details = { field: "credential", value: record.name };
    throw secretUnreadable(`The credential ${record.name}`, details, cause);
  }
}

function placeOf({ tenantId, id }: Owner): readonly string[] {
  return ["credential", tenantId, id];
}

/** Encrypts credentials again, as `resealRows` does. */
export async function resealCredentials(
  { store, keys, log }: Parts & { readonly log: Log },
  signal: AbortSignal,
): Promise<void> {
  await resealRows<CredentialRecord>(
    {
      op: "credentials.reseal",
      keys,
      log,
      rows: store.credentials,
      reseal: async (record) => {
        const { id, sealed: expected } = record;
        let text: string;
        try {
          text = openText(keys, placeOf(record), expected);
        } catch {
          return "unreadable";
        }
        await store.credentials.reseal({ id, sealed: sealText(keys, placeOf(record), text), expected });
        return "resealed";
      },
    },
    signal,
  );
}
