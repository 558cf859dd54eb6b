/** What a package or a bundle may need of its tenant's other plugins, and which packages meet the need. */

import { z } from "zod";
import { PluginDependency, parseGithubPattern, parseMarketplacePattern } from "./dependency.ts";
import type { InstallationId } from "./ids.ts";
import { IDENTIFIER_PATTERN, pluginIdOf } from "./package-ref.ts";
import { fitsVersion } from "./version-range.ts";

const CHECKSUM = /^[a-f0-9]{64}$/;

/**
 * Another plugin: by one of the three ways of a bundle's list, by the checksum of its package alone, or by an
 * identifier of the marketplace, from which the package is fetched where it has not been uploaded.
 */
export const PluginNeed = z.union([
  PluginDependency,
  z.object({ type: z.literal("checksum"), checksum: z.string() }),
  z.object({ type: z.literal("listing"), identifier: z.string() }),
]);
export type PluginNeed = z.infer<typeof PluginNeed>;

/** What a need compares of a package. */
export interface NeededPackage {
  readonly pluginId: string;
  readonly version: string;
  readonly identifier: string;
  /** Repository and tag of the release that it came from, where they are known. */
  readonly release?: { readonly repo: string; readonly tag: string } | undefined;
}

/** `author/name`, where the need names one: a repository may hold a plugin of another name. */
export function pluginOf(need: PluginNeed): string | undefined {
  switch (need.type) {
    case "package":
    case "listing":
      return pluginIdOf(need.identifier);
    case "marketplace":
      return `${need.organization}/${need.plugin}`;
    case "github":
    case "checksum":
      return undefined;
    default:
      return need satisfies never;
  }
}

/** Whether the package is of the plugin that the need names, in any version. */
function isMeant(need: PluginNeed, found: NeededPackage): boolean {
  switch (need.type) {
    case "package":
    case "listing":
    case "marketplace":
      return pluginOf(need) === found.pluginId;
    case "github":
      return need.repo === (found.release?.repo ?? found.pluginId);
    case "checksum":
      return found.identifier.endsWith(`@${need.checksum}`);
    default:
      return need satisfies never;
  }
}

/** Whether the package meets the need. */
export function fits(need: PluginNeed, found: NeededPackage): boolean {
  if (!isMeant(need, found)) return false;
  switch (need.type) {
    case "package":
    case "listing":
      return need.identifier === found.identifier;
    case "marketplace":
      return fitsVersion(need.version, found.version);
    case "github":
      return need.release === found.release?.tag || fitsVersion(need.release, found.version);
    case "checksum":
      return true;
    default:
      return need satisfies never;
  }
}

/** The need in one line, as a manifest's `value` has it. */
export function formatNeed(need: PluginNeed): string {
  switch (need.type) {
    case "package":
    case "listing":
      return need.identifier;
    case "marketplace":
      return `${need.organization}/${need.plugin}:${need.version}`;
    case "github":
      return `${need.repo}:${need.release}/${need.asset}`;
    case "checksum":
      return need.checksum;
    default:
      return need satisfies never;
  }
}

/** Reads such a line; without a type, by its form. Undefined for anything else. */
export function parseNeed(text: string, type?: string): PluginNeed | undefined {
  if (type === "marketplace") return parseMarketplacePattern(text);
  if (type === "github") return parseGithubPattern(text);
  const isIdentifier = IDENTIFIER_PATTERN.test(text) && text.includes("/");
  if (type === "listing") return isIdentifier ? { type, identifier: text } : undefined;
  if (CHECKSUM.test(text)) return { type: "checksum", checksum: text };
  if (isIdentifier) return { type: "package", identifier: text };
  return type === undefined ? (parseMarketplacePattern(text) ?? parseGithubPattern(text)) : undefined;
}

/** An installation that needs another one, by its current package or by the one that is being installed. */
export interface Dependent {
  readonly installationId: InstallationId;
  readonly pluginId: string;
  /** The package that declares the need. */
  readonly identifier: string;
  readonly need: PluginNeed;
}

/** As an error answer shows it. */
export function dependentJson({ installationId, pluginId, identifier, need }: Dependent) {
  return {
    installation_id: installationId,
    plugin_id: pluginId,
    identifier,
    type: need.type,
    value: formatNeed(need),
  };
}
