/** What a collection removes, in which order and why, and what a report says. No I/O: dry runs use the same code. */
import type { DiskArea, Held, Reclaimable } from "../../domain/disk.ts";
import type { Area, Found } from "./area.ts";

export interface Planned {
  readonly found: Found;
  readonly reason: string;
}

type PlannedArea = Pick<Area, "kind" | "budgetBytes" | "isEmptiedWhenAsked">;

/**
 * Garbage first; then, where the collection was requested or the budget is exceeded, what nothing needs, the least
 * recently used first. Nothing is removed before the things that build on it.
 */
export function plan(
  area: PlannedArea,
  found: readonly Found[],
  { isAsked }: { readonly isAsked: boolean },
): readonly Planned[] {
  const takesAll = isAsked && area.isEmptiedWhenAsked;
  const budget = area.budgetBytes ?? Number.POSITIVE_INFINITY;
  const order = found.filter(({ heldBy }) => heldBy.length === 0).toSorted(leastRecentFirst);
  const there = new Set(found.map(({ key }) => key));
  const planned: Planned[] = [];
  let left = sum(found);
  const take = (next: Found, reason: string) => {
    planned.push({ found: next, reason });
    there.delete(next.key);
    left -= next.bytes;
  };
  const isFree = ({ key, above = [] }: Found) => there.has(key) && !above.some((other) => there.has(other));
  for (;;) {
    const garbage = order.find((one) => one.garbage !== undefined && isFree(one));
    if (garbage?.garbage !== undefined) {
      take(garbage, garbage.garbage);
      continue;
    }
    const next = takesAll || left > budget ? order.find(isFree) : undefined;
    if (next === undefined) return planned;
    take(next, takesAll ? "nothing needs it" : `over the budget; last used ${next.usedAt.toISOString()}`);
  }
}

/** Number of things that each list of a report names at most. */
const NAMED_MAX = 200;

export function describeArea(area: PlannedArea, found: readonly Found[]): DiskArea {
  const all = plan({ ...area, isEmptiedWhenAsked: true }, found, { isAsked: true });
  const free = new Set(all.map(({ found: { key } }) => key));
  const reclaimable = all.map((planned) => toReclaimable(area, planned));
  const held = found
    .filter(({ key }) => !free.has(key))
    .map(
      (one): Held => ({
        what: one.what,
        bytes: one.bytes,
        by: one.heldBy.length > 0 ? [...one.heldBy] : (one.above ?? []).map((key) => `image ${key}`),
      }),
    );
  return {
    kind: area.kind,
    bytes: sum(found),
    budgetBytes: area.budgetBytes,
    reclaimableBytes: sum(reclaimable),
    heldBytes: sum(held),
    reclaimable: largest(reclaimable),
    held: largest(held),
    reclaimableCount: reclaimable.length,
    heldCount: held.length,
  };
}

export function toReclaimable(
  { kind }: Pick<Area, "kind">,
  { found: { what, bytes }, reason }: Planned,
): Reclaimable {
  return { kind, what, bytes, reason };
}

export function sum(things: readonly { readonly bytes: number }[]): number {
  return things.reduce((total, { bytes }) => total + bytes, 0);
}

function largest<T extends { readonly bytes: number }>(things: readonly T[]): T[] {
  return things.toSorted((a, b) => b.bytes - a.bytes).slice(0, NAMED_MAX);
}

function leastRecentFirst(a: Found, b: Found): number {
  return a.usedAt.getTime() - b.usedAt.getTime() || (a.key < b.key ? -1 : 1);
}
