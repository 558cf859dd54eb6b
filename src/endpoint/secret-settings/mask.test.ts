import { expect, test } from "vitest";
import type { SettingField } from "../../domain/endpoint.ts";
import { maskSettings, unmaskSettings } from "./mask.ts";

const field = (name: string, type: string): SettingField => ({
  name,
  type,
  isRequired: false,
  scope: undefined,
  options: [],
});
const FIELDS = [field("key", "secret-input"), field("url", "text-input")];

test.each([
  ["", ""],
  ["a", "*"],
  ["sixsix", "******"],
  ["seven77", "se***77"],
  ["a longer secret", "a ***********et"],
  ["ééé", "******"],
  ["éaaaé", "é***é"],
])("the secret %j is shown as %j", (secret, shown) => {
  expect(maskSettings({ key: secret }, FIELDS)).toEqual({ key: shown });
});

test("a value that is not a secret, or not a text, is shown unchanged", () => {
  const settings = { url: "https://example.org", key: 7, other: "undeclared" };
  expect(maskSettings(settings, FIELDS)).toEqual(settings);
});

test("a secret that is sent back masked stays unchanged, even if its bytes are cut within a character", () => {
  for (const secret of ["s3cret-value", "short", "日本語の秘密", "x日本語"]) {
    const shown = maskSettings({ key: secret, url: "u" }, FIELDS);
    expect(unmaskSettings({ ...shown, url: "v" }, { key: secret, url: "u" }, FIELDS)).toEqual({
      key: secret,
      url: "v",
    });
  }
});

test("another value replaces the secret, and a setting that is not secret is never taken for a mask", () => {
  const current = { key: "s3cret-value", url: "a longer text" };
  expect(unmaskSettings({ key: "new", url: "a *********xt" }, current, FIELDS)).toEqual({
    key: "new",
    url: "a *********xt",
  });
  expect(unmaskSettings({}, current, FIELDS)).toEqual({});
});
