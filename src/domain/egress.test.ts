import { describe, expect, it } from "vitest";
import { assertWithin, type EgressPolicy, withinCeiling } from "./egress.ts";

const list = (...allow: string[]): EgressPolicy => ({ mode: "list", allow });
const open: EgressPolicy = { mode: "open", allow: [] };
const none: EgressPolicy = { mode: "none", allow: [] };
const ceiling = list("*.example.com:443", "10.0.0.0/8:5432", "192.0.2.1");

describe("a policy under the operator's ceiling", () => {
  it.each([
    [open, open],
    [list("anything.example:1"), open],
    [none, open],
    [list("a.example.com:443", "10.1.0.0/16:5432", "10.9.9.9:5432", "192.0.2.1:80", "192.0.2.1"), ceiling],
    [none, ceiling],
    [none, none],
  ])("%j is within %j", (policy, over) => {
    expect(() => assertWithin(policy, over)).not.toThrow();
  });

  it.each([
    [open, ceiling, "mode"],
    [list(), none, "mode"],
    [list("example.com:443"), ceiling, "allow[0]"],
    [list("a.example.com:443", "a.example.com:80"), ceiling, "allow[1]"],
    [list("11.0.0.1:5432"), ceiling, "allow[0]"],
    [list("10.0.0.0/7:5432"), ceiling, "allow[0]"],
    [list("10.0.0.1"), ceiling, "allow[0]"],
    [list("no destination"), open, "allow[0]"],
  ])("%j exceeds %j, or is not a policy", (policy, over, field) => {
    expect(() => assertWithin(policy, over)).toThrow(
      expect.objectContaining({ code: "invalid_input", details: expect.objectContaining({ field }) }),
    );
  });

  it("made under an earlier ceiling is cut to the current one", () => {
    expect(withinCeiling(undefined, ceiling)).toEqual(ceiling);
    expect(withinCeiling(open, ceiling)).toEqual(ceiling);
    expect(withinCeiling(list("a.example.com:443", "b.example:443"), ceiling)).toEqual(
      list("a.example.com:443"),
    );
    expect(withinCeiling(none, ceiling)).toEqual(none);
    expect(withinCeiling(list("b.example:443"), open)).toEqual(list("b.example:443"));
    expect(withinCeiling(open, none)).toEqual(none);
  });
});
