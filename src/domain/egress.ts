/** What an installation's network lets its plugin reach. */
import { DESTINATION_ACCEPTED, type Destination, parseDestination } from "./destination.ts";
import { invalidInput } from "./fault.ts";

/** From most to least. `list`: only the listed destinations. */
export const EGRESS_MODES = ["open", "list", "none"] as const;
export type EgressMode = (typeof EGRESS_MODES)[number];

/** What one installation may reach. */
export interface EgressPolicy {
  readonly mode: EgressMode;
  /** Destinations as `parseDestination` reads them; they count with `list`. */
  readonly allow: readonly string[];
}

const ENTRIES_MAX = 200;

/** Throws `invalid_input` where the policy exceeds the operator's `ceiling`, or where an entry is not a destination. */
export function assertWithin(policy: EgressPolicy, ceiling: EgressPolicy): void {
  const modes = EGRESS_MODES.slice(EGRESS_MODES.indexOf(ceiling.mode));
  if (!modes.includes(policy.mode)) throw invalidInput("mode", policy.mode, modes.join(", "));
  if (policy.allow.length > ENTRIES_MAX)
    throw invalidInput("allow", policy.allow.length, `at most ${ENTRIES_MAX} destinations`);
  for (const [index, text] of policy.allow.entries()) {
    const field = `allow[${index}]`;
    if (parseDestination(text) === undefined) throw invalidInput(field, text, DESTINATION_ACCEPTED);
    if (ceiling.mode === "list" && !isCovered(text, ceiling.allow))
      throw invalidInput(field, text, `what the operator lists: ${ceiling.allow.join(", ")}`);
  }
}

/** The part of a chosen policy that the operator's current settings allow; without a choice, those settings. */
export function withinCeiling(policy: EgressPolicy | undefined, ceiling: EgressPolicy): EgressPolicy {
  if (policy === undefined || ceiling.mode === "none") return ceiling;
  if (policy.mode === "none" || ceiling.mode === "open") return policy;
  if (policy.mode === "open") return ceiling;
  return { mode: "list", allow: policy.allow.filter((text) => isCovered(text, ceiling.allow)) };
}

function isCovered(text: string, by: readonly string[]): boolean {
  const wanted = parseDestination(text);
  return wanted !== undefined && by.some((one) => covers(parseDestination(one), wanted));
}

function covers(outer: Destination | undefined, inner: Destination): boolean {
  if (outer === undefined || (outer.port !== undefined && outer.port !== inner.port)) return false;
  if (outer.host === inner.host) return true;
  if (outer.host.startsWith("*.")) return inner.host.endsWith(outer.host.slice(1));
  const [whole, part] = [rangeOf(outer.host), rangeOf(inner.host)];
  return whole !== undefined && part !== undefined && whole.first <= part.first && part.last <= whole.last;
}

function rangeOf(host: string): { readonly first: number; readonly last: number } | undefined {
  const found = /^(\d+)\.(\d+)\.(\d+)\.(\d+)(?:\/(\d+))?$/.exec(host);
  if (found === null) return undefined;
  const size = 2 ** (32 - Number(found[5] ?? 32));
  const address = found.slice(1, 5).reduce((sum, part) => sum * 256 + Number(part), 0);
  const first = address - (address % size);
  return { first, last: first + size - 1 };
}
