import {
  GITHUB_ACCEPTED,
  MARKETPLACE_ACCEPTED,
  type PluginDependency,
  parseGithubPattern,
  parseMarketplacePattern,
} from "../../domain/dependency.ts";
import type { Source } from "../yaml-source.ts";

/** A dependency in a bundle's manifest: a package is a file of the bundle, not yet an identifier. */
export type ListedDependency =
  | Exclude<PluginDependency, { type: "package" }>
  | { readonly type: "package"; readonly path: string };

const TYPES = "marketplace, github or package";

/** Reads one `{type, value}` of a bundle's list. Throws `manifest_invalid` with the field. */
export function readListedDependency(at: Source): ListedDependency {
  if (!at.isMap) throw at.refuse(`a map of type (${TYPES}) and value`);
  const value = at.get("value");
  switch (at.get("type").text) {
    case "marketplace":
      return matching(value.get("marketplace_pattern"), parseMarketplacePattern, MARKETPLACE_ACCEPTED);
    case "github":
      return matching(value.get("repo_pattern"), parseGithubPattern, GITHUB_ACCEPTED);
    case "package": {
      const path = value.get("path");
      if (path.text === undefined || path.text === "") throw path.refuse("the name of a file below _assets/");
      return { type: "package", path: path.text };
    }
    default:
      throw at.get("type").refuse(TYPES);
  }
}

function matching(
  at: Source,
  parse: (text: string) => Exclude<ListedDependency, { type: "package" }> | undefined,
  accepted: string,
): ListedDependency {
  const parsed = parse(at.text ?? "");
  if (parsed === undefined) throw at.refuse(accepted);
  return parsed;
}
