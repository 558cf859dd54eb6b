/** What the warm path needs of a declaration, in memory for every installation. */
import { CREDENTIAL_KINDS } from "../domain/credential.ts";
import { type CredentialNeed, credentialNeed, readCredentialForms } from "../domain/credential-form.ts";
import { type EndpointOffer, readEndpointOffer } from "../domain/endpoint.ts";
import { member } from "../domain/json.ts";
import type { Package, ProviderKind } from "../domain/package.ts";
import { asksFor, PERMISSIONS, type Permission } from "../domain/permission.ts";

export interface PluginCatalog {
  readonly identifier: string;
  readonly pluginId: string;
  readonly providers: readonly CatalogProvider[];
  /** What the manifest asks for; what it does not ask for is denied. */
  readonly permissions: ReadonlySet<Permission>;
  /** Bytes of storage, 0 without the permission. */
  readonly storageBytes: number;
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
    permissions: new Set(PERMISSIONS.filter((name) => asksFor(pkg.declaration, name))),
    storageBytes: readStorageBytes(pkg),
    endpoint: readEndpointOffer(pkg.declaration),
  };
}

/** For a package that is not here: it offers nothing and may do nothing. */
export function emptyCatalog({
  identifier,
  pluginId,
}: Pick<PluginCatalog, "identifier" | "pluginId">): PluginCatalog {
  const nothing = { providers: [], permissions: new Set<Permission>(), storageBytes: 0, endpoint: undefined };
  return { identifier, pluginId, ...nothing };
}

function readItems(pkg: Package, kind: ProviderKind): string[] {
  const key = ITEMS[kind];
  if (key === undefined) return [];
  const items = member(pkg.declaration[kind], key);
  if (!Array.isArray(items)) return [];
  return items
    .map((item) => member(member(item, "identity"), "name"))
    .filter((name): name is string => typeof name === "string");
}

function readNeed({ declaration }: Package, kind: ProviderKind): CredentialNeed {
  const taking = CREDENTIAL_KINDS.find((one) => one === kind);
  return taking === undefined ? "none" : credentialNeed(readCredentialForms(declaration, taking));
}

function readStorageBytes({ declaration }: Package): number {
  if (!asksFor(declaration, "storage")) return 0;
  const size = member(member(member(declaration["resource"], "permission"), "storage"), "size");
  return typeof size === "number" ? size : STORAGE_BYTES_DEFAULT;
}
