import fc from "fast-check";
import { expect, test } from "vitest";
import { length } from "../../../test/harness/samples/lengths.ts";
import { temporaryFolder, zipOf } from "../../../test/support/test-zip.ts";
import { isFault } from "../../domain/fault.ts";
import { DEFAULT_READ_OPTIONS } from "../read-package.ts";
import { readBundle } from "./read-bundle.ts";

const MANIFEST = {
  type: "bundle",
  author: "acme",
  name: "set",
  version: "0.1.0",
  icon: "i.svg",
  labels: { en_US: "Set" },
  description: { en_US: "A set" },
  dependencies: [{ type: "package", value: { path: "a" } }],
};

test("any manifest of a bundle becomes a bundle or a named fault", { timeout: 60_000 }, async () => {
  const scalar = fc.oneof(
    fc.string(),
    fc.integer(),
    fc.boolean(),
    fc.constantFrom(
      null,
      "bundle",
      "package",
      "github",
      "marketplace",
      "a",
      "acme/x:1.0.0",
      "acme/x:1.0.0/y",
    ),
  );
  const dependency = fc.record(
    {
      type: scalar,
      value: fc.oneof(
        scalar,
        fc.dictionary(fc.constantFrom("path", "repo_pattern", "marketplace_pattern"), scalar),
      ),
    },
    { requiredKeys: [] },
  );
  const value = fc.oneof(scalar, fc.array(fc.oneof(dependency, scalar), { maxLength: 4 }));
  const changes = fc.dictionary(fc.constantFrom(...Object.keys(MANIFEST), "tags"), value, { maxKeys: 3 });
  await using folder = await temporaryFolder();
  await fc.assert(
    fc.asyncProperty(changes, async (changed) => {
      const manifest = JSON.stringify({ ...MANIFEST, ...changed });
      const path = await folder.file("b", zipOf({ "manifest.yaml": manifest, "_assets/a": "" }));
      try {
        expect((await readBundle(path, DEFAULT_READ_OPTIONS)).identifier).toMatch(/@[0-9a-f]{64}$/);
      } catch (failure) {
        const named = isFault(failure, "manifest_invalid") || isFault(failure, "identifier_too_long");
        expect(named, String(failure)).toBe(true);
      }
    }),
    { numRuns: length({ short: 80, soak: 2000 }) },
  );
});
