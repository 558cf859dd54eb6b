import type { ProviderKind } from "./package.ts";

/** What a package is filed under: the first of its kinds in this order, else `extension`. */
export const CATEGORIES = ["tool", "model", "datasource", "agent-strategy", "trigger", "extension"] as const;
export type Category = (typeof CATEGORIES)[number];

const BY_KIND = [
  ["tool", "tool"],
  ["model", "model"],
  ["datasource", "datasource"],
  ["agent_strategy", "agent-strategy"],
  ["trigger", "trigger"],
] as const satisfies readonly (readonly [ProviderKind, Category])[];

/** The category that follows from the kinds of providers; a package cannot choose it. */
export function categoryOf(kinds: readonly ProviderKind[]): Category {
  return BY_KIND.find(([kind]) => kinds.includes(kind))?.[1] ?? "extension";
}
