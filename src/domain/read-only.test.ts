import { expect, test } from "vitest";
import { explainReadOnly } from "./read-only.ts";

const WRITABLE = "a plugin can write in /tmp only, and beside its code if BERTH_WRITABLE_PLUGINS names it.";

test.each([
  ["[Errno 30] Read-only file system: '/plugin/a b.json'", `It tried to write /plugin/a b.json; ${WRITABLE}`],
  ["[Errno 30] Read-only file system", `It tried to write; ${WRITABLE}`],
  ["unable to open database file", `SQLite needs to write beside its database; ${WRITABLE}`],
  ["attempt to write a readonly database", `SQLite needs to write beside its database; ${WRITABLE}`],
  ["[Errno 2] No such file or directory: 'a'", undefined],
])("%s is explained, or is about something else", (error, sentence) => {
  expect(explainReadOnly(error)).toBe(sentence);
});
