/**
 * Writes what a plugin has registered as the files of a package, so that it is read, checked, stored and shown like any
 * uploaded one. It is JSON, which YAML contains. Its identifier follows from the declarations, the assets and the tenant.
 */
import type { TenantId } from "../../domain/ids.ts";
import type { ProviderKind } from "../../domain/package.ts";
import { parseArchivePath } from "../../packages/archive/archive-path.ts";
import type { ArchiveEntry } from "../../packages/archive/write-archive.ts";
import { cleanPath } from "../../packages/declaration/items.ts";
import type { JsonMap } from "./messages.ts";
import type { Registered } from "./registration.ts";

/** The lists of the manifest, and the members of a provider that a package may keep in files of their own. */
const KINDS: Readonly<Record<ProviderKind, { readonly list: string; readonly items: string | undefined }>> = {
  tool: { list: "tools", items: "tools" },
  model: { list: "models", items: undefined },
  endpoint: { list: "endpoints", items: "endpoints" },
  agent_strategy: { list: "agent_strategies", items: "strategies" },
  datasource: { list: "datasources", items: "datasources" },
  trigger: { list: "triggers", items: "events" },
};
/** A package's files name the code behind them; here that is on the author's machine. */
const CODE = "main.py";
const EXTRA = { extra: { python: { source: CODE, provider_source: CODE } } };
const EMPTY = Buffer.alloc(0);
/** Of files that have no name in the manifest. */
const FOLDER = "declared";

/** Throws `package_unsafe` for the name of an asset that is no path. */
export function packageOf(registered: Registered, tenantId: TenantId): readonly ArchiveEntry[] {
  const entries: ArchiveEntry[] = [];
  const add = (path: string, content: Buffer | JsonMap): string => {
    const bytes = Buffer.isBuffer(content) ? content : Buffer.from(JSON.stringify(content));
    entries.push({ path: parseArchivePath(Buffer.from(path)), content: bytes });
    return path;
  };
  const { manifest } = registered;
  const plugins: Record<string, string[]> = {};
  for (const [kind, providers] of registered.providers) {
    const { list } = KINDS[kind];
    const named: unknown = Reflect.get(Object(manifest["plugins"]), list);
    plugins[list] = providers.map((provider, at) => {
      const name: unknown = Array.isArray(named) ? named[at] : undefined;
      const ofItems = `${FOLDER}/${kind}-${at}`;
      const content = providerOf(kind, provider, (item, json) => add(`${ofItems}/${item}`, json));
      return add(typeof name === "string" ? cleanPath(name) : `${ofItems}.yaml`, content);
    });
  }
  add("manifest.yaml", { ...manifest, plugins });
  for (const [name, content] of registered.assets) add(`_assets/${name}`, content);
  add("debug.json", { tenant: tenantId });
  add(CODE, EMPTY);
  add("requirements.txt", EMPTY);
  return entries;
}

/** Each item gets a file of its own, because the size of one file is bounded. */
function providerOf(
  kind: ProviderKind,
  provider: JsonMap,
  addItem: (name: string, item: JsonMap) => string,
): JsonMap {
  if (kind === "model") return modelProviderOf(provider, addItem);
  const name = KINDS[kind].items ?? "";
  const items = listOf(provider[name]).map((item, at) => addItem(`${at}.yaml`, { ...item, ...EXTRA }));
  return { ...provider, ...EXTRA, [name]: items };
}

/** The names of files keep the order of the models. */
function modelProviderOf(provider: JsonMap, addItem: (name: string, item: JsonMap) => string): JsonMap {
  const models = listOf(provider["models"]);
  const digits = String(models.length).length;
  const [first] = models.map((model, at) => addItem(`${String(at).padStart(digits, "0")}.yaml`, model));
  const predefined = first === undefined ? [] : [first.replace(/[^/]*$/, "*.yaml")];
  const positions = new Map<string, JsonMap>(
    Object.entries(Object(provider["position"])).flatMap(([group, names]) =>
      Array.isArray(names) ? [[group, { position: addItem(`position/${group}.yaml`, Object(names)) }]] : [],
    ),
  );
  const groups = new Map(positions).set("llm", { ...positions.get("llm"), predefined });
  return { ...provider, ...EXTRA, models: Object.fromEntries(groups) };
}

function listOf(value: unknown): readonly JsonMap[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === "object" && item !== null) : [];
}
