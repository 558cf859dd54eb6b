import { CREDENTIALS_MAX, CredentialId, credentialNotFound } from "../../../src/domain/credential.ts";
import { Fault } from "../../../src/domain/fault.ts";
import type {
  CredentialAt,
  CredentialRecord,
  CredentialRows,
} from "../../../src/store/contracts/credentials.ts";
import { uuid7 } from "../../../src/store/prisma/client/database.ts";

/**
 * Credentials in memory, the newest last in the array given, by the rules of the store: the contract of credentials runs
 * on them. There is no audit, and no key to seal anew.
 */
export function credentialRowsIn(
  records: CredentialRecord[],
): Omit<CredentialRows, "sealedOtherwise" | "reseal"> {
  const placeOf = ({ tenantId, id }: CredentialAt) => {
    const place = records.findIndex((record) => record.id === id && record.tenantId === tenantId);
    if (place < 0) throw credentialNotFound(id);
    return place;
  };
  const get = (at: CredentialAt) => records[placeOf(at)] as CredentialRecord;
  const put = (at: CredentialAt, fields: Partial<CredentialRecord>) => {
    const after = { ...get(at), ...fields };
    records[placeOf(at)] = after;
    return after;
  };
  const ofOne = (one: Pick<CredentialRecord, "installationId" | "kind" | "provider">) =>
    records.filter(
      ({ installationId, kind, provider }) =>
        installationId === one.installationId && kind === one.kind && provider === one.provider,
    );
  const alike = (one: Pick<CredentialRecord, "id" | "installationId" | "kind" | "provider" | "model">) =>
    ofOne(one).filter(
      ({ id, model }) => id !== one.id && JSON.stringify(model) === JSON.stringify(one.model),
    );
  return {
    newId: () => CredentialId.parse(uuid7()),
    create: async ({ by: _by, ...given }) => {
      const all = ofOne(given);
      if (all.length >= CREDENTIALS_MAX || all.some(({ name }) => name === given.name))
        throw new Fault("conflict", "The name is taken, or there are too many.");
      const at = new Date();
      const record = { ...given, isDefault: alike(given).length === 0, createdAt: at, updatedAt: at };
      records.push(record);
      return record;
    },
    find: async ({ tenantId, id }) =>
      records.find((record) => record.id === id && record.tenantId === tenantId),
    list: async (filter, { limit, cursor }) => {
      const all = records.filter((record) => matches(record, filter)).reverse();
      const after = all.slice(cursor === undefined ? 0 : all.findIndex(({ id }) => id === cursor) + 1);
      const items = after.slice(0, limit);
      return { items, nextCursor: after.length > limit ? items.at(-1)?.id : undefined };
    },
    ofProvider: async (provider) => records.filter((record) => matches(record, provider)),
    replace: async ({ tenantId, id, fields, sealed }) =>
      put({ tenantId, id }, { fields, sealed, updatedAt: new Date() }),
    makeDefault: async ({ tenantId, id }) => {
      for (const other of alike(get({ tenantId, id }))) put(other, { isDefault: false });
      return put({ tenantId, id }, { isDefault: true });
    },
    remove: async ({ tenantId, id }) => {
      const record = get({ tenantId, id });
      if (record.isDefault && alike(record).length > 0)
        throw new Fault("conflict", `${record.name} is the default.`);
      records.splice(placeOf({ tenantId, id }), 1);
    },
  };
}

function matches(record: CredentialRecord, filter: object): boolean {
  return Object.entries(filter).every(
    ([key, value]) => value === undefined || Reflect.get(record, key) === value,
  );
}
