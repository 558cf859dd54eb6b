import { randomUUID } from "node:crypto";
import { Fault } from "../../../src/domain/fault.ts";
import { SCOPES } from "../../../src/domain/scope.ts";
import type { ApiKey } from "../../../src/store/contracts/keys.ts";
import type { Store } from "../../../src/store/store.ts";

/** API keys in memory, in the array given, by the rules of the store: the contract of keys runs on them. */
export function keyRowsIn(keys: ApiKey[]): Store["keys"] {
  const placeOf = (id: string) => keys.findIndex((key) => key.id === id);
  return {
    create: async ({ by: _by, scopes = SCOPES, expiresAt, ...rest }) => {
      if (keys.some(({ hash }) => hash === rest.hash))
        throw new Fault("conflict", "This key exists already.");
      const times = { createdAt: new Date(), expiresAt, lastUsedAt: undefined, revokedAt: undefined };
      const key = { ...rest, scopes, id: randomUUID(), ...times };
      keys.push(key);
      return key;
    },
    revoke: async (id) => {
      const key = keys[placeOf(id)];
      if (key === undefined) throw new Fault("not_found", `There is no key ${id}.`);
      const revoked = { ...key, revokedAt: key.revokedAt ?? new Date() };
      keys[placeOf(id)] = revoked;
      return revoked;
    },
    list: async () => keys.filter(({ revokedAt }) => revokedAt === undefined),
    page: async ({ tenantId }, { limit, cursor }) => {
      const found = keys.filter((key) => (tenantId ?? key.tenantId) === key.tenantId).reverse();
      const after = found.slice(cursor === undefined ? 0 : found.findIndex(({ id }) => id === cursor) + 1);
      const items = after.slice(0, limit);
      return { items, nextCursor: after.length > limit ? items.at(-1)?.id : undefined };
    },
    noteUse: async (uses) => {
      for (const { id, at } of uses) {
        const key = keys[placeOf(id)];
        if (key === undefined || (key.lastUsedAt ?? new Date(0)) >= at) continue;
        keys[placeOf(id)] = { ...key, lastUsedAt: at };
      }
    },
  };
}
