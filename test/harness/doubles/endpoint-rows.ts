import { randomUUID } from "node:crypto";
import { EndpointId } from "../../../src/domain/endpoint.ts";
import { Fault } from "../../../src/domain/fault.ts";
import type {
  EndpointAt,
  EndpointFilter,
  EndpointRecord,
  EndpointRows,
} from "../../../src/store/contracts/endpoints.ts";
import { uuid7 } from "../../../src/store/prisma/client/database.ts";

/** The most that one page has. */
const PAGE_MAX = 100;

/** Whether a tenant has the plugin installed. */
type IsInstalled = (plugin: { readonly tenantId: string; readonly pluginId: string }) => boolean;

/**
 * Endpoints in memory, the newest last in the array given, by the rules of the store: the contract of endpoints runs on
 * them. There are no counters, no audit and no keys to seal anew.
 */
export function endpointRowsIn(
  records: EndpointRecord[],
  isInstalled: IsInstalled = () => true,
): Omit<EndpointRows, "sealedOtherwise" | "reseal"> {
  const placeOf = ({ tenantId, id }: EndpointAt) =>
    records.findIndex((record) => record.id === id && record.tenantId === tenantId);
  const change = (at: EndpointAt, fields: Partial<EndpointRecord>) => {
    const place = placeOf(at);
    const before = records[place];
    if (before === undefined) return undefined;
    const after = { ...before, ...fields, updatedAt: new Date() };
    const changed = { ...after, revision: JSON.stringify(after.settings) };
    records[place] = changed;
    return changed;
  };
  return {
    ...listsOf(records),
    newId: () => EndpointId.parse(uuid7()),
    create: async ({ by: _by, ...endpoint }) => {
      if (!isInstalled(endpoint))
        throw new Fault("installation_not_found", `${endpoint.pluginId} is not installed.`);
      const at = new Date();
      const revision = JSON.stringify(endpoint.settings);
      const hookId = randomUUID().replaceAll("-", "").slice(0, 16);
      const record = { ...endpoint, hookId, enabled: true, revision, createdAt: at, updatedAt: at };
      records.push(record);
      return record;
    },
    find: async (at) => records[placeOf(at)],
    findByHook: async (hookId) => records.find((record) => record.hookId === hookId),
    update: async ({ name, settings, expected, tenantId, id }) =>
      records[placeOf({ tenantId, id })]?.revision === expected
        ? change({ tenantId, id }, { name, settings })
        : undefined,
    setEnabled: async ({ enabled, ...at }) => change(at, { enabled }),
    remove: async (at) => {
      const place = placeOf(at);
      return place < 0 ? undefined : records.splice(place, 1)[0];
    },
  };
}

function listsOf(records: readonly EndpointRecord[]): Pick<EndpointRows, "list" | "listPage"> {
  const matching = ({ tenantId, pluginId }: EndpointFilter) =>
    records
      .filter((record) => record.tenantId === tenantId && (pluginId ?? record.pluginId) === record.pluginId)
      .reverse();
  return {
    list: async (filter, { limit, cursor }) => {
      const all = matching(filter);
      const after = all.slice(cursor === undefined ? 0 : all.findIndex(({ id }) => id === cursor) + 1);
      const items = after.slice(0, limit);
      return { items, nextCursor: after.length > limit ? items.at(-1)?.id : undefined };
    },
    listPage: async (filter, { number, size }) => {
      const limit = size < 1 ? PAGE_MAX : Math.min(size, PAGE_MAX);
      const from = Math.max(0, (number - 1) * limit);
      return matching(filter).slice(from, from + limit);
    },
  };
}
