import { type PluginNeed, parseNeed } from "../../domain/plugin-need.ts";
import type { Source } from "../yaml-source.ts";

/** Each may become an install of its own. */
const DEPENDENCIES_MAX = 200;
/** The key of a map that holds the text which may also be the value itself. */
const KEYS = {
  package: ["identifier", "path"],
  marketplace: ["marketplace_pattern"],
  github: ["repo_pattern"],
} as const;
type Type = keyof typeof KEYS;
const TYPES = Object.keys(KEYS).join(", ");

const ACCEPTED = {
  package: "author/name:version@checksum of a package, or its checksum alone",
  marketplace: "organization/plugin:VERSION, for example acme/echo:^1.0.0, or a whole identifier",
  github: "owner/repository:VERSION/FILE, for example acme/echo:1.0.0/echo.difypkg",
} as const;

/**
 * Reads the dependencies of a seed manifest: each is an identifier, or `{type, value}` with the value as in a bundle's list
 * or as its text alone. Throws `manifest_invalid` with the field.
 */
export function readSeedDependencies(at: Source): readonly PluginNeed[] {
  if (at.isEmpty) return [];
  if (!at.isList) throw at.refuse("a list of identifiers, or of {type, value}");
  if (at.items.length > DEPENDENCIES_MAX) throw at.refuse(`at most ${DEPENDENCIES_MAX} dependencies`);
  return at.items.map(readDependency);
}

function readDependency(at: Source): PluginNeed {
  if (at.isScalar) return parsed(at, undefined, Object.values(ACCEPTED).join("; or "));
  if (!at.isMap) throw at.refuse(`an identifier, or a map of type (${TYPES}) and value`);
  const type = at.get("type").text;
  if (!isType(type)) throw at.get("type").refuse(TYPES);
  const value = at.get("value");
  const named = KEYS[type].map((key) => value.get(key)).find((inner) => !inner.isEmpty);
  return parsed(named ?? value, type, ACCEPTED[type]);
}

/** A whole identifier names exactly one package of the marketplace, which can be fetched. */
function parsed(at: Source, type: Type | undefined, accepted: string): PluginNeed {
  const text = at.text ?? "";
  const need = parseNeed(text, type) ?? (type === "marketplace" ? parseNeed(text, "listing") : undefined);
  if (need === undefined) throw at.refuse(accepted);
  return need;
}

function isType(text: string | undefined): text is Type {
  return text !== undefined && Object.hasOwn(KEYS, text);
}
