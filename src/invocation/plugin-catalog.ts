/** What the warm path needs of a declaration, in memory for every installation. */
import { CREDENTIAL_KINDS } from "../domain/credential.ts";
import { type CredentialNeed, credentialNeed, readCredentialForms } from "../domain/credential-form.ts";
import { type EndpointOffer, readEndpointOffer } from "../domain/endpoint.ts";
import type { Package, ProviderKind } from "../domain/package.ts";

export interface PluginCatalog {
  readonly identifier: string;
  readonly pluginId: string;
  readonly providers: readonly CatalogProvider[];
  readonly permission: PluginPermission;
  readonly endpoint: EndpointOffer | undefined;
}

export interface CatalogProvider {
  readonly kind: ProviderKind;
  /** The provider's own name, without author or plugin. */
  readonly name: string;
  /** Tools, strategies, datasources or events; empty for kinds that name none. */
  readonly items: readonly string[];
  /** Whether its calls take credentials. */
  readonly credentials: CredentialNeed;
}

/** The manifest's `resource.permission`; what it does not grant is denied. */
export interface PluginPermission {
  readonly tool: boolean;
  /** The model flags that are on; empty without `model.enabled`. */
  readonly model: ReadonlySet<string>;
  readonly node: boolean;
  readonly app: boolean;
  /** Bytes of storage, 0 without the permission. */
  readonly storageBytes: number;
}

const ITEMS: Readonly<Partial<Record<ProviderKind, string>>> = {
  tool: "tools",
  agent_strategy: "strategies",
  datasource: "datasources",
  trigger: "events",
};

/** The size that the public SDK assumes for a storage permission without a size. */
const STORAGE_BYTES_DEFAULT = 1024 * 1024;

export function readCatalog(pkg: Package): PluginCatalog {
  return {
    identifier: pkg.identifier,
    pluginId: pkg.pluginId,
    providers: pkg.providers.map(({ kind, name }) => ({
      kind,
      name,
      items: readItems(pkg, kind),
      credentials: readNeed(pkg, kind),
    })),
    permission: readPermission(pkg),
    endpoint: readEndpointOffer(pkg.declaration),
  };
}

/** For a package that is not here: it offers nothing and may do nothing. */
export function emptyCatalog({
  identifier,
  pluginId,
}: Pick<PluginCatalog, "identifier" | "pluginId">): PluginCatalog {
  const permission = { tool: false, model: new Set<string>(), node: false, app: false, storageBytes: 0 };
  return { identifier, pluginId, providers: [], permission, endpoint: undefined };
}

function readItems(pkg: Package, kind: ProviderKind): string[] {
  const key = ITEMS[kind];
  if (key === undefined) return [];
  const items = field(pkg.declaration[kind], key);
  if (!Array.isArray(items)) return [];
  return items
    .map((item) => field(field(item, "identity"), "name"))
    .filter((name): name is string => typeof name === "string");
}

function readNeed({ declaration }: Package, kind: ProviderKind): CredentialNeed {
  const taking = CREDENTIAL_KINDS.find((one) => one === kind);
  return taking === undefined ? "none" : credentialNeed(readCredentialForms(declaration, taking));
}

function readPermission(pkg: Package): PluginPermission {
  const permission = field(pkg.declaration["resource"], "permission");
  const model = field(permission, "model");
  const flags = isEnabled(model) && typeof model === "object" && model !== null ? Object.entries(model) : [];
  const storage = field(permission, "storage");
  const size = field(storage, "size");
  return {
    tool: isEnabled(field(permission, "tool")),
    model: new Set(flags.filter(([, on]) => on === true).map(([flag]) => flag)),
    node: isEnabled(field(permission, "node")),
    app: isEnabled(field(permission, "app")),
    storageBytes: !isEnabled(storage) ? 0 : typeof size === "number" ? size : STORAGE_BYTES_DEFAULT,
  };
}

function isEnabled(block: unknown): boolean {
  return field(block, "enabled") === true;
}

function field(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined;
}
