import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Found } from "./area.ts";
import { describeArea, plan, sum } from "./plan.ts";

const AREA = { kind: "images", budgetBytes: 100, isEmptiedWhenAsked: true } as const;

function found(key: string, changes: Partial<Found> = {}): Found {
  return { key, what: key, bytes: 60, usedAt: new Date(0), heldBy: [], ...changes };
}
const keys = (area: Parameters<typeof plan>[0], things: readonly Found[], isAsked = false) =>
  plan(area, things, { isAsked }).map((planned) => planned.found.key);

describe("a collection", () => {
  it("removes nothing within the budget, and everything unneeded if requested", () => {
    const things = [found("a"), found("b", { bytes: 40 })];
    expect(keys(AREA, things)).toEqual([]);
    expect(keys(AREA, things, true)).toEqual(["a", "b"]);
    expect(keys({ ...AREA, isEmptiedWhenAsked: false }, things, true)).toEqual([]);
  });

  it("removes the least recently used first, until the rest is within the budget", () => {
    const things = [3, 1, 2].map((n) => found(`used at ${n}`, { usedAt: new Date(n) }));
    expect(keys(AREA, things)).toEqual(["used at 1", "used at 2"]);
  });

  it("never removes what is needed, whatever the budget", () => {
    const things = [
      found("a", { heldBy: ["pool p"] }),
      found("b", { heldBy: ["task t"], garbage: "rubbish" }),
    ];
    expect(keys({ ...AREA, budgetBytes: 0 }, things, true)).toEqual([]);
  });

  it("removes garbage in any case, with its reason", () => {
    const garbage = found("r", { bytes: 1, garbage: "its build failed" });
    expect(plan({ ...AREA, budgetBytes: null }, [garbage], { isAsked: false })).toEqual([
      { found: garbage, reason: "its build failed" },
    ]);
  });

  it("removes an item before the items that it builds on, and keeps what a needed item builds on", () => {
    const below = found("below", { above: ["above"] });
    const above = found("above", { usedAt: new Date(9) });
    expect(keys(AREA, [below, above])).toEqual(["above"]);
    expect(keys(AREA, [below, above], true)).toEqual(["above", "below"]);
    const needed = { ...above, heldBy: ["pool p"] };
    expect(keys(AREA, [below, needed], true)).toEqual([]);
    expect(describeArea(AREA, [below, needed])).toMatchObject({
      bytes: 120,
      reclaimableBytes: 0,
      heldBytes: 120,
      held: [{ by: ["image above"] }, { by: ["pool p"] }],
    });
  });

  it("follows these rules for any set of items", () => {
    const things = fc.uniqueArray(
      fc.record({
        key: fc.string({ minLength: 1, maxLength: 3 }),
        bytes: fc.nat(50),
        age: fc.nat(9),
        isHeld: fc.boolean(),
        isGarbage: fc.boolean(),
        stands: fc.option(fc.nat(20)),
      }),
      { selector: ({ key }) => key, maxLength: 20 },
    );
    fc.assert(
      fc.property(things, fc.nat(200), fc.boolean(), (records, budgetBytes, isAsked) => {
        const all = records.map((record, n) =>
          found(record.key, {
            bytes: record.bytes,
            usedAt: new Date(record.age),
            heldBy: record.isHeld ? ["x"] : [],
            ...(record.isGarbage && { garbage: "g" }),
            // Only earlier ones stand on it, so that nothing stands on itself.
            above: records.flatMap((other, m) => (m < n && other.stands === n ? [other.key] : [])),
          }),
        );
        const area = { ...AREA, budgetBytes };
        const planned = plan(area, all, { isAsked }).map((one) => one.found);
        const gone = new Set<string>();
        for (const one of planned) {
          expect(one.heldBy).toEqual([]);
          expect((one.above ?? []).every((key) => gone.has(key))).toBe(true);
          gone.add(one.key);
        }
        expect(gone.size).toBe(planned.length);
        const isOver = sum(all) - sum(planned) > budgetBytes;
        const isFree = (one: Found) =>
          one.heldBy.length === 0 && !gone.has(one.key) && (one.above ?? []).every((key) => gone.has(key));
        if (isAsked || isOver) expect(all.filter(isFree)).toEqual([]);
        expect(all.filter((one) => isFree(one) && one.garbage !== undefined)).toEqual([]);
      }),
    );
  });
});
