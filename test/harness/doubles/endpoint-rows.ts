/** Rows of Endpoints in memory, and secrets sealed by a key of the test's own. */
import { randomUUID } from "node:crypto";
import type { EndpointId } from "../../../src/domain/endpoint.ts";
import { EndpointId as Id } from "../../../src/domain/endpoint.ts";
import { createBerthSecrets } from "../../../src/endpoint/secret-settings/berth-secrets.ts";
import { withoutPlatform } from "../../../src/endpoint/secret-settings/platform-secrets.ts";
import { parseSecretKeys } from "../../../src/endpoint/secret-settings/secret-keys.ts";
import type {
  EndpointAt,
  EndpointFilter,
  EndpointRecord,
  EndpointRows,
} from "../../../src/store/contracts/endpoints.ts";

const KEY = Buffer.alloc(32, 7).toString("base64");

const testSecretKeys = parseSecretKeys(`test:${KEY}`, "a test");
export const testSecrets = withoutPlatform(createBerthSecrets({ keys: testSecretKeys }));

/** Newest last in `records`. */
export function endpointRowsIn(records: EndpointRecord[]): EndpointRows {
  const placeOf = ({ tenantId, id }: EndpointAt) =>
    records.findIndex((record) => record.id === id && record.tenantId === tenantId);
  const change = (at: EndpointAt, fields: Partial<EndpointRecord>) => {
    const place = placeOf(at);
    const before = records[place];
    if (before === undefined) return undefined;
    const after = { ...before, ...fields, updatedAt: new Date() };
    records[place] = { ...after, revision: JSON.stringify(after.settings) };
    return records[place];
  };
  const matching = ({ tenantId, pluginId }: EndpointFilter) =>
    records
      .filter((record) => record.tenantId === tenantId && (pluginId ?? record.pluginId) === record.pluginId)
      .reverse();
  return {
    newId: (): EndpointId => Id.parse(randomUUID()),
    create: async ({ by: _by, ...endpoint }) => {
      const at = new Date();
      const revision = JSON.stringify(endpoint.settings);
      const hookId = randomUUID().replaceAll("-", "").slice(0, 16);
      const record = { ...endpoint, hookId, enabled: true, revision, createdAt: at, updatedAt: at };
      records.push(record);
      return record;
    },
    find: async (at) => records[placeOf(at)],
    findByHook: async (hookId) => records.find((record) => record.hookId === hookId),
    list: async (filter, { limit }) => ({ items: matching(filter).slice(0, limit), nextCursor: undefined }),
    listPage: async (filter, { number, size }) => matching(filter).slice((number - 1) * size, number * size),
    update: async ({ name, settings, expected, ...at }) =>
      records[placeOf(at)]?.revision === expected ? change(at, { name, settings }) : undefined,
    setEnabled: async ({ enabled, ...at }) => change(at, { enabled }),
    remove: async (at) => {
      const place = placeOf(at);
      return place < 0 ? undefined : records.splice(place, 1)[0];
    },
    sealedOtherwise: async () => [],
    reseal: async () => false,
  };
}
