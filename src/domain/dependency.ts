import { z } from "zod";

/** `1.0.0`, `^1.0.0`, `~1.0.0`, `1.x.x`, `1.0.0-2.0.0`: what a list of dependencies may ask for. */
const NUMBERS = String.raw`\d{1,4}(?:\.\d{1,4}){2}(?:-\w{1,16})?`;
const PLACE = String.raw`(?:\d{1,4}|[xX])`;
const VERSIONS = `(?:[~^]?${NUMBERS}|${PLACE}(?:\\.${PLACE}){2}|${NUMBERS}-${NUMBERS})`;
const OWNED = "([a-z0-9_-]{1,64})/([a-z0-9_-]{1,128})";
const MARKETPLACE_PATTERN = new RegExp(`^${OWNED}:(${VERSIONS})$`);
const GITHUB_PATTERN = new RegExp(`^${OWNED}:(${VERSIONS})/([^/]{1,255})$`);

const PackageDependency = z.object({ type: z.literal("package"), identifier: z.string() });
const MarketplaceDependency = z.object({
  type: z.literal("marketplace"),
  organization: z.string(),
  plugin: z.string(),
  /** A version or a range of versions. */
  version: z.string(),
});
const GithubDependency = z.object({
  type: z.literal("github"),
  /** `owner/repository` */
  repo: z.string(),
  /** A version or a range of versions. */
  release: z.string(),
  /** A file of the release; may hold `*`. */
  asset: z.string(),
});

/** Another plugin that a package or a bundle needs. */
export const PluginDependency = z.discriminatedUnion("type", [
  PackageDependency,
  MarketplaceDependency,
  GithubDependency,
]);
export type PluginDependency = z.infer<typeof PluginDependency>;
type MarketplaceDependency = z.infer<typeof MarketplaceDependency>;
type GithubDependency = z.infer<typeof GithubDependency>;

export const MARKETPLACE_ACCEPTED =
  "organization/plugin:VERSION, for example acme/echo:1.0.0 or acme/echo:^1.0.0";
export const GITHUB_ACCEPTED = "owner/repository:VERSION/FILE, for example acme/echo:1.0.0/echo.difypkg";

/** `organization/plugin:VERSION`; undefined for anything else. */
export function parseMarketplacePattern(text: string): MarketplaceDependency | undefined {
  const [, organization = "", plugin = "", version = ""] = MARKETPLACE_PATTERN.exec(text) ?? [];
  return version === "" ? undefined : { type: "marketplace", organization, plugin, version };
}

/** `owner/repository:VERSION/FILE`; undefined for anything else. */
export function parseGithubPattern(text: string): GithubDependency | undefined {
  const [, owner = "", repo = "", release = "", asset = ""] = GITHUB_PATTERN.exec(text) ?? [];
  return asset === "" ? undefined : { type: "github", repo: `${owner}/${repo}`, release, asset };
}
