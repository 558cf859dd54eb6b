import { expect, it } from "vitest";
import { RuntimeId } from "./ids.ts";
import { type RuntimeEnd, type RuntimeRecord, replacedSince } from "./runtime.ts";

const ASKED_AT = 100;

type Row = readonly [slot: number, generation: number, startedAt: number, end?: RuntimeEnd["reason"]];

function replaced(...rows: readonly Row[]) {
  const records = rows.map(
    ([slot, generation, startedAt, reason]): RuntimeRecord => ({
      id: RuntimeId.parse("aaaaaaaaaa"),
      poolKey: "p",
      containerName: "c",
      containerId: "c",
      specHash: "",
      tenantId: undefined,
      pluginId: undefined,
      identifier: undefined,
      readyAt: undefined,
      endedAt: undefined,
      slot,
      generation,
      startedAt: new Date(startedAt),
      ...(reason === undefined
        ? { state: "ready" as const, end: undefined }
        : { state: "ended" as const, end: { reason } }),
    }),
  );
  return replacedSince(records, new Date(ASKED_AT));
}

it("no runtime counts as replaced if the same runtimes still run, whatever was replaced earlier", () => {
  expect(replaced([0, 1, 10, "replaced"], [0, 2, 20])).toBe("none");
  expect(replaced([0, 1, 10], [1, 2, 20])).toBe("none");
});

it("all runtimes count as replaced if no runtime of that time still serves", () => {
  expect(replaced([0, 1, 10, "replaced"], [0, 2, 120])).toBe("all");
  expect(replaced([0, 1, 10, "replaced"], [1, 2, 20, "replaced"], [1, 3, 110], [0, 4, 120])).toBe("all");
  expect(replaced([0, 1, 10, "crashed"])).toBe("all");
});

it("some runtimes count as replaced if one of several was replaced", () => {
  expect(replaced([0, 1, 10], [1, 2, 20, "replaced"], [1, 3, 120])).toBe("some");
});

it("no runtime counts as replaced if one was added, even in a slot that was used before", () => {
  expect(replaced([0, 1, 10], [1, 2, 120])).toBe("none");
  expect(replaced([0, 1, 10], [1, 2, 20, "scaled_in"], [1, 3, 120])).toBe("none");
});
