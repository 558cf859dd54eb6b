import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { comparePlatformVersions, parsePlatformVersion, platformWarnings } from "./platform-version.ts";

const declares = (minimum: unknown) => ({ meta: { minimum_dify_version: minimum } });

describe("versions of the platform", () => {
  it("are compared in the order of their releases", () => {
    const ordered = [
      "0.6.0",
      "1.9",
      "1.9.1",
      "1.10.0-dev1",
      "1.10.0a2",
      "1.10.0-beta.1",
      "1.10.0-rc1",
      "v1.10.0",
    ];
    const parsed = [...ordered, "1.10.0.post1"].map((text) => parsePlatformVersion(text));
    const [first] = parsed;
    for (const [index, version] of parsed.entries()) {
      const next = parsed[index + 1];
      expect(version, ordered[index]).toBeDefined();
      if (version !== undefined && next !== undefined)
        expect(comparePlatformVersions(version, next), ordered[index]).toBeLessThan(0);
    }
    if (first !== undefined) expect(comparePlatformVersions(first, first)).toBe(0);
  });

  it("are undefined for any other text", () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const parsed = parsePlatformVersion(text);
        if (parsed !== undefined) expect(parsed.numbers.every(Number.isSafeInteger)).toBe(true);
      }),
    );
    for (const text of ["", "latest", "1.", "1.9.0 or so", "1.2.3.4.5"])
      expect(parsePlatformVersion(text)).toBeUndefined();
  });

  it("lead to a warning with both versions if a package needs a newer version", () => {
    expect(platformWarnings(declares("1.10.0"), "1.9.2")).toEqual([
      expect.stringMatching(/1\.10\.0.*1\.9\.2/),
    ]);
    expect(platformWarnings(declares("1.10.0"), "1.10")).toEqual([]);
    expect(platformWarnings(declares("soon"), "1.9.2")).toEqual([expect.stringContaining('"soon"')]);
  });

  it("lead to no warning if either version is missing", () => {
    expect(platformWarnings(declares("9.0.0"), undefined)).toEqual([]);
    for (const declaration of [declares(null), declares(""), {}, { meta: null }])
      expect(platformWarnings(declaration, "1.9.2")).toEqual([]);
  });
});
