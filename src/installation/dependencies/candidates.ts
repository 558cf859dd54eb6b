import type { TenantId } from "../../domain/ids.ts";
import type { Installation } from "../../domain/installation.ts";
import { parsePackageRef } from "../../domain/package-ref.ts";
import { fits, type NeededPackage, type PluginNeed, pluginOf } from "../../domain/plugin-need.ts";
import type { Source } from "../../domain/source.ts";
import { compareVersions } from "../../domain/version.ts";
import type { StoredPackage } from "../../store/contracts/packages.ts";
import type { Store } from "../../store/store.ts";

export interface CandidateScope {
  readonly store: Pick<Store, "installations" | "packages">;
  readonly tenantId: TenantId;
  /** True for a tenant's key: only packages that its tenant may see count. */
  readonly asTenant: boolean;
}

const PAGE = 200;

/** The tenant's installation of the needed plugin, whether or not its version fits. */
export async function findInstalled(
  scope: CandidateScope,
  need: PluginNeed,
): Promise<Installation | undefined> {
  const { store, tenantId } = scope;
  if (need.type === "github") return await findOfRelease(scope, need.repo);
  const pluginId = pluginOf(need) ?? (await findPackages(scope, need))[0]?.pluginId;
  return pluginId === undefined ? undefined : await store.installations.findByPlugin(tenantId, pluginId);
}

/** A repository may hold a plugin of another name: an installation that was fetched from it names the repository. */
async function findOfRelease(
  { store, tenantId }: CandidateScope,
  repo: string,
): Promise<Installation | undefined> {
  let cursor: string | undefined;
  do {
    const page = await store.installations.list(
      { tenantId },
      { limit: PAGE, ...(cursor === undefined ? {} : { cursor }) },
    );
    const found = page.items.find(({ source, meta }) => source === "github" && meta["repo"] === repo);
    if (found !== undefined) return found;
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return await store.installations.findByPlugin(tenantId, repo);
}

/** Stored packages of the needed plugin, the newest version first; of equal versions the one that was uploaded last. */
export async function findPackages(
  scope: CandidateScope,
  need: PluginNeed,
): Promise<readonly StoredPackage[]> {
  const { store, tenantId, asTenant } = scope;
  const own = asTenant ? { tenantId } : {};
  const what =
    need.type === "checksum"
      ? { checksum: need.checksum }
      : { pluginId: pluginOf(need) ?? (need.type === "github" ? need.repo : "") };
  const found: StoredPackage[] = [];
  let cursor: string | undefined;
  do {
    const page = await store.packages.list(
      { ...own, ...what },
      { limit: PAGE, ...(cursor === undefined ? {} : { cursor }) },
    );
    found.push(...page.items);
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  return found.sort((a, b) => compareVersions(b.version, a.version));
}

export function ofInstallation({ pluginId, identifier, source, meta }: Installation): NeededPackage {
  const { version } = parsePackageRef(identifier);
  const [repo, tag] = [meta["repo"], meta["version"]];
  const isRelease = source === "github" && typeof repo === "string" && typeof tag === "string";
  return { pluginId, version, identifier, ...(isRelease && { release: { repo, tag } }) };
}

export function isFitting(needs: readonly PluginNeed[], found: NeededPackage): boolean {
  return needs.every((need) => fits(need, found));
}

/** The source to fetch from, for a need that names exactly one archive. */
export function sourceOf(need: PluginNeed): Source | undefined {
  if (need.type === "listing") return { type: "marketplace", identifier: need.identifier };
  if (need.type !== "github") return undefined;
  const isExact = /^\d[\d.]*(-\w+)?$/.test(need.release) && !need.asset.includes("*");
  return isExact ? { type: "github", repo: need.repo, release: need.release, asset: need.asset } : undefined;
}
