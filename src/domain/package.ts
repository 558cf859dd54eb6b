import type { LimitsAsked } from "./limits.ts";
import type { PluginNeed } from "./plugin-need.ts";

export type Dialect = "real" | "seed";
/** The kinds of things a Declaration can offer, in the order in which a category is derived. */
export const PROVIDER_KINDS = [
  "tool",
  "model",
  "datasource",
  "agent_strategy",
  "trigger",
  "endpoint",
] as const;
export type ProviderKind = (typeof PROVIDER_KINDS)[number];

/** The Declaration as the platform reads it: the JSON that the daemon stores, key for key. */
export type DeclarationJson = Readonly<Record<string, unknown>>;

/** One immutable archive and what its manifest says, as read at upload. */
export interface Package {
  /** `author/name:version@checksum` */
  readonly identifier: string;
  /** `author/name` */
  readonly pluginId: string;
  readonly author: string;
  readonly name: string;
  readonly version: string;
  /** 64 hex digits over the archive's entries: `packages/archive/checksum.ts`. */
  readonly checksum: string;
  /** Size of the archive. */
  readonly bytes: number;
  readonly dialect: Dialect;
  readonly declaration: DeclarationJson;
  /** One provider per kind that the Declaration offers; `name` is the provider's own, without author or plugin. */
  readonly providers: readonly { readonly kind: ProviderKind; readonly name: string }[];
  readonly runner: PackageRunner;
  readonly limitsAsked: LimitsAsked;
  /** Other plugins that its Tenant must have: they are installed before it. */
  readonly dependencies: readonly PluginNeed[];
  readonly warnings: readonly string[];
}

export interface PackageRunner {
  readonly language: "python";
  /** As the manifest says it, for example `3.12`. */
  readonly version: string;
  /** Module that is started with `python -m`. */
  readonly entrypoint: string;
  /** `amd64`, `arm64` */
  readonly arch: readonly string[];
}

/** What a Package is filed under: its most telling kind. Without a kind that has a category of its own, `extension`. */
export const CATEGORIES = ["tool", "model", "datasource", "agent-strategy", "trigger", "extension"] as const;

export type Category = (typeof CATEGORIES)[number];

const BY_KIND = [
  ["tool", "tool"],
  ["model", "model"],
  ["datasource", "datasource"],
  ["agent_strategy", "agent-strategy"],
  ["trigger", "trigger"],
] as const satisfies readonly (readonly [ProviderKind, Category])[];

/** The category of what offers these kinds: a Package has no say in it. */
export function categoryOf(kinds: readonly ProviderKind[]): Category {
  return BY_KIND.find(([kind]) => kinds.includes(kind))?.[1] ?? "extension";
}
