import type { Package } from "./package.ts";

/** The text that a list is searched in, in lower case: plugin id, label and description in every language. */
export function searchText({ pluginId, declaration }: Pick<Package, "pluginId" | "declaration">): string {
  const texts = ["label", "description"].flatMap((key) => textsOf(declaration[key]));
  // a text column cannot hold this character
  return [pluginId, ...texts].join("\n").replaceAll("\0", "").toLowerCase().slice(0, CHARS_MAX);
}

const CHARS_MAX = 20_000;

function textsOf(value: unknown): string[] {
  if (typeof value === "string") return [value];
  return typeof value === "object" && value !== null ? Object.values(value).flatMap(textsOf) : [];
}
