import { expect, test } from "vitest";
import { parsePluginVariants, variantOf } from "./plugin-variants.ts";

test("a plugin gets the variant that is set for it, else the one for all others, else none", () => {
  const variants = parsePluginVariants("acme/sound=python-full, acme/maps=own.maps,*=small") ?? {};
  expect(["acme/sound", "acme/maps", "acme/echo"].map((id) => variantOf(variants, id))).toEqual([
    "python-full",
    "own.maps",
    "small",
  ]);
  expect(variantOf(parsePluginVariants("acme/sound=python-full") ?? {}, "acme/echo")).toBeUndefined();
  expect(parsePluginVariants("")).toEqual({});
});

test.each([
  "acme/sound",
  "acme/sound=",
  "sound=python-full",
  "acme/sound=Full",
  "acme/sound=a,acme/sound=b",
  "a/b/c=d",
])("%s is refused", (text) => {
  expect(parsePluginVariants(text)).toBeUndefined();
});
