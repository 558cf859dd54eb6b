import type { ProviderKind } from "./package.ts";

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
