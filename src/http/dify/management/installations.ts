/** What a Tenant has installed, as the platform lists it. */

import type { TenantId } from "../../../domain/ids.ts";
import { isMap } from "../../../domain/json.ts";
import { CATEGORIES } from "../../../domain/package.ts";
import { pluginIdOf } from "../../../domain/package-ref.ts";
import type { PlatformInstallation } from "../../../store/contracts/platform.ts";
import type { Store } from "../../../store/store.ts";
import type { DifyDoor } from "../door.ts";
import { refusal } from "../errors.ts";
import { isIdentifier, MANAGEMENT, PageInput } from "../inputs.ts";
import {
  list,
  max,
  min,
  named,
  needed,
  omitted,
  oneOf,
  type Rule,
  struct,
  type TypeOf,
  text,
  whole,
} from "../wire/shape.ts";
import {
  categoryOfDeclaration,
  type IdentifierParts,
  identifierParts,
  type ReadableDeclaration,
  readableDeclaration,
} from "./declaration.ts";

const MANY_MAX = 256;
/** Installations that are looked at at a time. */
const SCANNED = 256;

const TAGS = (
  "search image videos weather finance design travel social news medical productivity education business " +
  "entertainment utilities agent rag other trigger"
).split(" ");
const isTag: Rule = { tag: "plugin_tag", holds: (value) => TAGS.includes(String(value)) };
const LANGUAGES = ["en_US", "zh_Hans", "ja_JP", "pt_BR"] as const;

const CategoryListInput = struct({
  category: needed(text),
  page: needed(whole, min(1)),
  page_size: needed(whole, min(1), max(MANY_MAX)),
  query: omitted(text, max(256)),
  tags: omitted(list(text, { rules: [isTag] }), max(128)),
  language: omitted(text, oneOf(LANGUAGES)),
});
const BatchInput = struct({ plugin_ids: named("PluginIDs", needed(list(text), max(MANY_MAX))) });
const MissingInput = struct({
  plugin_unique_identifiers: needed(list(text, { rules: [isIdentifier] }), max(MANY_MAX)),
});

type Platform = Pick<Store, "platform">;

export function addInstallations(door: DifyDoor, { store }: { readonly store: Platform }): void {
  const route = (path: string) => ({ method: "GET", path: `${MANAGEMENT}/${path}`, gate: "key" }) as const;
  door.add({ ...route("list"), input: PageInput }, async ({ input, tenantId }) => {
    const { page, page_size: pageSize } = input;
    const [rows, total] = await Promise.all([
      store.platform.listInstallations(tenantId, { page, pageSize }),
      store.platform.countInstallations(tenantId),
    ]);
    return { list: (await described(store, rows)).map(itemJson), total };
  });
  const Ids = struct({ category: needed(text) });
  door.add({ ...route("installation/ids"), input: Ids }, async ({ input: { category }, tenantId }) => {
    const ids = await idsOf(store, tenantId, knownCategory(category));
    return { plugin_ids: [...new Set(ids)] };
  });
  door.add({ ...route(":category/list"), input: CategoryListInput }, ({ input, tenantId }) =>
    categoryList(store, tenantId, input),
  );
  door.add(
    { ...route("installation/fetch/batch"), method: "POST", input: BatchInput },
    async ({ input, tenantId }) => {
      const rows = await store.platform.installationsOf(tenantId, input.plugin_ids ?? []);
      return (await described(store, rows)).map(rowJson);
    },
  );
  door.add({ ...route("installation/missing"), method: "POST", input: MissingInput }, ({ input, tenantId }) =>
    missing(store, tenantId, input.plugin_unique_identifiers ?? []),
  );
}

interface Described {
  readonly row: PlatformInstallation;
  readonly parts: IdentifierParts;
  readonly declaration: ReadableDeclaration;
}

/** What has no identifier that says anything is left out: there is nothing that a client could do with it. */
async function described(
  { platform }: Platform,
  rows: readonly PlatformInstallation[],
): Promise<readonly Described[]> {
  const stored = await platform.declarations(rows.map(({ identifier }) => identifier));
  return rows.flatMap((row) => {
    const parts = identifierParts(row.identifier);
    if (parts === undefined) return [];
    const declaration = readableDeclaration(stored.get(row.identifier), parts, row.createdAt);
    return [{ row, parts, declaration }];
  });
}

function itemJson({ row, parts, declaration }: Described) {
  return {
    id: row.id,
    name: declaration.name,
    plugin_id: row.pluginId,
    tenant_id: row.tenantId,
    plugin_unique_identifier: row.identifier,
    endpoints_active: row.endpointsActive,
    endpoints_setups: row.endpointsSetups,
    installation_id: row.id,
    declaration,
    runtime_type: row.runtimeType,
    version: declaration.version,
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
    source: row.source,
    checksum: parts.checksum,
    meta: row.meta,
  };
}

function rowJson({ row, parts, declaration }: Described) {
  return {
    id: row.id,
    created_at: row.createdAt.toISOString(),
    updated_at: row.updatedAt.toISOString(),
    tenant_id: row.tenantId,
    plugin_id: row.pluginId,
    plugin_unique_identifier: row.identifier,
    runtime_type: row.runtimeType,
    endpoints_setups: row.endpointsSetups,
    endpoints_active: row.endpointsActive,
    source: row.source,
    meta: row.meta,
    version: parts.version,
    checksum: parts.checksum,
    declaration,
  };
}

type Category = (typeof CATEGORIES)[number];

function knownCategory(given: string): Category {
  const category = CATEGORIES.find((one) => one === given);
  if (category !== undefined) return category;
  throw refusal("PluginDaemonBadRequestError", "invalid plugin category");
}

/** An extension is what has none of the tables of its own. */
async function idsOf(store: Platform, tenantId: TenantId, category: Category): Promise<readonly string[]> {
  if (category === "agent-strategy") return await store.platform.pluginIds(tenantId, "agent_strategy");
  if (category !== "extension") return await store.platform.pluginIds(tenantId, category);
  const ids: string[] = [];
  for await (const { row, declaration } of all(store, tenantId))
    if (categoryOfDeclaration(declaration) === category) ids.push(row.pluginId);
  return ids;
}

/** All that the Tenant has, newest first, in pieces. */
async function* all(store: Platform, tenantId: TenantId): AsyncGenerator<Described> {
  for (let page = 1; ; page += 1) {
    const rows = await store.platform.listInstallations(tenantId, { page, pageSize: SCANNED });
    yield* await described(store, rows);
    if (rows.length < SCANNED) return;
  }
}

async function categoryList(store: Platform, tenantId: TenantId, input: TypeOf<typeof CategoryListInput>) {
  const category = knownCategory(input.category);
  const { page, page_size: pageSize } = input;
  const found: Described[] = [];
  let skipped = (page - 1) * pageSize;
  for await (const one of all(store, tenantId)) {
    if (categoryOfDeclaration(one.declaration) !== category || !isMatch(one, input)) continue;
    if (skipped > 0) skipped -= 1;
    else if (found.push(one) > pageSize) break;
  }
  return { list: found.slice(0, pageSize).map(itemJson), has_more: found.length > pageSize };
}

function isMatch(
  { row, declaration }: Described,
  { query, tags, language }: TypeOf<typeof CategoryListInput>,
): boolean {
  if (tags?.length && !tags.some((tag) => declaration.tags.includes(tag))) return false;
  if (!query) return true;
  const texts = [
    row.pluginId,
    declaration.name,
    localized(declaration.label, language),
    localized(declaration.description, language),
  ];
  return texts.some((one) => one.toLowerCase().includes(query.toLowerCase()));
}

function localized(texts: unknown, language: string | undefined): string {
  if (!isMap(texts)) return "";
  const own = language === undefined ? undefined : texts[language];
  return typeof own === "string" && own !== "" ? own : String(texts["en_US"] ?? "");
}

async function missing(store: Platform, tenantId: TenantId, identifiers: readonly string[]) {
  const pluginIds = new Map(identifiers.map((one) => [one, pluginIdOf(one)]));
  const rows = await store.platform.installationsOf(tenantId, [...pluginIds.values()]);
  const installed = new Map(rows.map(({ pluginId, identifier }) => [pluginId, identifier]));
  return identifiers.flatMap((identifier) => {
    const current = installed.get(pluginIds.get(identifier) ?? "") ?? "";
    return current === identifier
      ? []
      : [{ plugin_unique_identifier: identifier, current_identifier: current }];
  });
}
