import { expect, test } from "vitest";
import { Findings } from "../findings.ts";
import { parseYaml } from "../yaml-source.ts";
import { readSeedDependencies } from "./dependencies.ts";

const CHECKSUM = "a".repeat(64);
const IDENTIFIER = `acme/base:1.0.0@${CHECKSUM}`;

function read(dependencies: unknown) {
  const text = JSON.stringify({ dependencies });
  return readSeedDependencies(
    parseYaml(Buffer.from(text), "manifest.json", new Findings()).get("dependencies"),
  );
}

test("a dependency is an identifier, or a type with its value in either form", () => {
  const written = [
    IDENTIFIER,
    { type: "package", value: IDENTIFIER },
    { type: "package", value: { identifier: IDENTIFIER } },
    { type: "package", value: CHECKSUM },
    { type: "package", value: { path: CHECKSUM } },
    { type: "marketplace", value: "acme/base:^1.0.0" },
    { type: "marketplace", value: { marketplace_pattern: "acme/base:1.x.x" } },
    { type: "marketplace", value: IDENTIFIER },
    { type: "github", value: "acme/repo:1.0.0/base.difypkg" },
    { type: "github", value: { repo_pattern: "acme/repo:~1.0.0/*.difypkg" } },
    "acme/base:1.0.0-2.0.0",
  ];
  const identified = { type: "package", identifier: IDENTIFIER };
  const checksum = { type: "checksum", checksum: CHECKSUM };
  const ofMarket = { type: "marketplace", organization: "acme", plugin: "base" };
  const ofRelease = { type: "github", repo: "acme/repo" };
  expect(read(written)).toEqual([
    ...[identified, identified, identified, checksum, checksum],
    { ...ofMarket, version: "^1.0.0" },
    { ...ofMarket, version: "1.x.x" },
    { type: "listing", identifier: IDENTIFIER },
    { ...ofRelease, release: "1.0.0", asset: "base.difypkg" },
    { ...ofRelease, release: "~1.0.0", asset: "*.difypkg" },
    { ...ofMarket, version: "1.0.0-2.0.0" },
  ]);
});

test("a missing list, an empty one and null mean no dependencies", () => {
  for (const none of [undefined, null, []]) expect(read(none)).toEqual([]);
});

test.each([
  ["dependencies", { type: "package" }],
  ["dependencies[0]", ["acme/base"]],
  ["dependencies[0].type", [{ type: "npm", value: "left-pad" }]],
  ["dependencies[0].type", [{ value: IDENTIFIER }]],
  ["dependencies[1].value", [IDENTIFIER, { type: "marketplace", value: "acme/base:1.0" }]],
  ["dependencies[0].value", [{ type: "package", value: "acme/base:1.0.0" }]],
  ["dependencies[0].value", [{ type: "github" }]],
  ["dependencies", Array.from({ length: 201 }, () => IDENTIFIER)],
])("an invalid dependency list is refused with the field %s", (field, written) => {
  expect(() => read(written)).toThrow(
    expect.objectContaining({ code: "manifest_invalid", details: expect.objectContaining({ field }) }),
  );
});
