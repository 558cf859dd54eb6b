import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { DeclarationModel } from "../../../../test/harness/samples/dify-models.ts";
import { categoryOfDeclaration, identifierParts, readableDeclaration } from "./declaration.ts";

const IDENTIFIER = `acme/echo:1.2.3@${"a".repeat(64)}`;
const parts = identifierParts(IDENTIFIER);
if (parts === undefined) throw new Error("the identifier cannot be read");

describe("identifiers", () => {
  test.each([
    [IDENTIFIER, { author: "acme", name: "echo", version: "1.2.3", checksum: "a".repeat(64) }],
    [`echo:1.2.3@${"b".repeat(32)}`, { author: undefined, name: "echo", version: "1.2.3" }],
  ])("%s is split into its parts", (identifier, said) => {
    expect(identifierParts(identifier)).toMatchObject(said);
  });

  test.each(["", "acme/echo", "acme/echo:1.2.3", "a/b/c:1@a", ":1.2.3@a"])(
    "%j is not an identifier",
    (text) => {
      expect(identifierParts(text)).toBeUndefined();
    },
  );
});

describe("declarations", () => {
  const shown = (stored: Record<string, unknown> | undefined) =>
    readableDeclaration(stored, parts, new Date(0));

  test("a missing declaration is filled in from the identifier", () => {
    expect(DeclarationModel.parse(shown(undefined))).toMatchObject({
      author: "acme",
      name: "echo",
      version: "1.2.3",
      label: { en_US: "echo" },
      tags: [],
      icon: "",
      created_at: "1970-01-01T00:00:00.000Z",
      verified: false,
    });
  });

  test("valid members stay unchanged, and so do unknown members", () => {
    const whole = {
      ...shown(undefined),
      label: { en_US: "Echo", ja_JP: "エコー" },
      tags: ["search"],
      repo: "acme/echo",
      verified: true,
      tool: { identity: { name: "echo", author: "acme", label: { en_US: "E" } }, tools: [{ any: 1 }] },
    };
    expect(shown(whole)).toEqual(whole);
  });

  test("a block that no client accepts is left out, and the category follows from the rest", () => {
    const broken = shown({ tool: { identity: null }, model: { provider: "echo", models: null } });
    expect(broken).not.toHaveProperty("tool");
    expect(broken["model"]).toEqual({ provider: "echo", models: [] });
    expect(categoryOfDeclaration(broken)).toBe("model");
    expect(categoryOfDeclaration(shown({ trigger: "text" }))).toBe("extension");
  });

  test("whatever a row contains, the members that clients need are present and of their type", () => {
    const members = fc.constantFrom(
      ...["version", "author", "name", "label", "description", "icon", "icon_dark", "resource", "plugins"],
      ...["meta", "tags", "created_at", "verified", "tool", "model", "datasource", "trigger", "endpoint"],
    );
    fc.assert(
      fc.property(fc.dictionary(members, fc.jsonValue()), (stored) => {
        const { label, description, tags, meta, plugins, resource, ...rest } = shown(stored);
        expect([label, description].every((one) => typeof one["en_US"] === "string")).toBe(true);
        expect(Array.isArray(tags)).toBe(true);
        for (const one of [meta, plugins, resource]) expect(one).toBeInstanceOf(Object);
        for (const key of ["version", "name", "icon", "icon_dark", "created_at"])
          expect(typeof rest[key]).toBe("string");
        for (const [key, list] of [
          ["tool", "tools"],
          ["model", "models"],
          ["trigger", "events"],
        ] as const) {
          const block: unknown = rest[key];
          if (block !== undefined) expect(Array.isArray(Reflect.get(Object(block), list))).toBe(true);
        }
      }),
    );
  });
});
