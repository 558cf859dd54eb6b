import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isFault } from "./fault.ts";
import { formatPackageRef, IDENTIFIER_PATTERN, isUuidAuthor, parsePackageRef } from "./package-ref.ts";

const checksum = "ab".repeat(32);

describe("the parser of package references", () => {
  it("reads back what it writes", () => {
    const part = (max: number) => fc.stringMatching(new RegExp(`^[a-z0-9_-]{1,${max}}$`));
    const ref = fc.record({
      author: part(64),
      name: part(60),
      version: fc.stringMatching(/^\d{1,4}\.\d{1,4}\.\d{1,4}(-[A-Za-z0-9_]{1,16})?$/),
      checksum: fc.stringMatching(/^[a-f0-9]{64}$/),
    });
    fc.assert(
      fc.property(ref, (parts) => {
        const text = formatPackageRef(parts);
        expect(text).toMatch(IDENTIFIER_PATTERN);
        expect(parsePackageRef(text)).toEqual(parts);
      }),
    );
  });

  it("returns the parts of any text, or a named fault", () => {
    const near = fc.stringMatching(/^[a-zA-Z0-9_./:@-]{0,80}$/);
    fc.assert(
      fc.property(fc.oneof(fc.string(), near), (text) => {
        try {
          expect(formatPackageRef(parsePackageRef(text))).toBe(text);
        } catch (failure) {
          expect(isFault(failure, "invalid_input") || isFault(failure, "identifier_too_long")).toBe(true);
        }
      }),
    );
  });

  it.each([
    `Acme/echo:1.0.0@${checksum}`,
    `echo:1.0.0@${checksum}`,
    `acme/echo:1@${checksum}`,
    `acme/echo:1.0.0-rc.1@${checksum}`,
    `acme/echo:1.0.0@${checksum.toUpperCase()}`,
    `acme/../echo:1.0.0@${checksum}`,
    `acme/echo:1.0.0@${checksum}\n`,
  ])("refuses %j and says what is accepted", (text) => {
    expect(() => parsePackageRef(text)).toThrow(
      expect.objectContaining({
        code: "invalid_input",
        details: expect.objectContaining({ field: "identifier", value: text }),
      }),
    );
  });

  it("names both numbers for an identifier that is too long for its column", () => {
    const long = { author: "a".repeat(64), name: "n".repeat(128), version: "1.0.0", checksum };
    expect(() => formatPackageRef(long)).toThrow(
      expect.objectContaining({
        code: "identifier_too_long",
        details: { field: "identifier", value: 264, accepted: 255 },
      }),
    );
    expect(formatPackageRef({ ...long, name: "n".repeat(119) })).toHaveLength(255);
  });

  it("distinguishes the author of a debug connection from a person", () => {
    expect(isUuidAuthor("0b1f5a9e-1111-4222-8333-444455556666")).toBe(true);
    expect(isUuidAuthor("acme")).toBe(false);
  });
});
