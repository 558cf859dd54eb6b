import { expect, test } from "vitest";
import { systemClock } from "../../util/clock.ts";
import { lastLines, startCrashed } from "./exit-cause.ts";

const EXIT = { exitCode: 1, signal: undefined, oom: false };
const WRITABLE = "a plugin can write in /tmp only, and beside its code if BERTH_WRITABLE_PLUGINS names it.";

test.each([
  ["OSError: [Errno 30] Read-only file system: 'cache.json'", "It tried to write cache.json;"],
  ["sqlite3.OperationalError: unable to open database file", "SQLite needs to write beside its database;"],
])("a start that fails by %s names where writing works", (error, why) => {
  expect(startCrashed(EXIT, ["Traceback (most recent call last):", error], "acme/reader").message).toBe(
    `The plugin ended with exit code 1. It was not ready yet. ${why} ${WRITABLE}`,
  );
});

test("a start that fails for another reason than a line of its log that mentions a read-only file says nothing of it", () => {
  const logs = ["warning: [Errno 30] Read-only file system: '/x'", "KeyError: 'TOKEN'"];
  expect(startCrashed(EXIT, logs, "acme/reader").message).toBe(
    "The plugin ended with exit code 1. It was not ready yet.",
  );
});

test("the last lines of a container are as the plugin wrote them, without the request ids of the log", async () => {
  const engine = {
    async *logs() {
      for (const text of ["plain", "\u001e[r-1,r-2] tagged"])
        yield { at: new Date(0), stream: "stderr" as const, text };
    },
  };
  expect(await lastLines({ engine, clock: systemClock }, "c", 10)).toEqual(["plain", "tagged"]);
});
