import { expect, test } from "vitest";
import { isFault } from "../domain/fault.ts";
import { checkAdminKey } from "./admin-key.ts";
import { newKey } from "./keyring.ts";

test.each([
  ["short", "abc123"],
  ["published", "lYkiYYT6owG+71oLerGzA7GXCgOT++6ovaezWAjpCjf+Sjc3ZtU+qUEi"],
  ["obvious", "please-change-me-to-something-else"],
  ["of one letter", "a".repeat(40)],
  ["with white space", "correct horse battery staple 42"],
])("an admin key that is %s is refused without being shown", (_name, key) => {
  try {
    checkAdminKey(key);
    expect.unreachable();
  } catch (error) {
    expect(isFault(error, "config_invalid")).toBe(true);
    expect(JSON.stringify({ message: (error as Error).message, error })).not.toContain(key);
  }
});

test("a generated key is accepted as admin key", () => {
  expect(() => checkAdminKey(newKey())).not.toThrow();
});
