import { expect, test } from "vitest";
import { systemClock } from "../../util/clock.ts";
import { lastLines, startCrashed } from "./exit-cause.ts";

const EXIT = { exitCode: 1, signal: undefined, oom: false };

test("a start that fails for a file that cannot be written names the file, and where writing works", () => {
  const lines = [
    "Traceback (most recent call last):",
    "OSError: [Errno 30] Read-only file system: 'cache.json'",
  ];
  expect(startCrashed(EXIT, lines, "acme/reader").message).toBe(
    "The plugin ended with exit code 1. It was not ready yet. It tried to write cache.json; a plugin can write in " +
      "/tmp only, unless BERTH_WRITABLE_PLUGINS names it.",
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
