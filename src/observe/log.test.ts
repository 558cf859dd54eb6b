import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { Writable } from "node:stream";
import { expect, test } from "vitest";
import { createLog } from "./log.ts";

function capture(level = "info") {
  const lines: Record<string, unknown>[] = [];
  const destination = new Writable({
    write(chunk, _encoding, done) {
      lines.push(JSON.parse(String(chunk)));
      done();
    },
  });
  return { log: createLog({ level, destination }), lines };
}

test("a line carries its fields, its level as a word, and the time", () => {
  const { log, lines } = capture();
  log.warn({ op: "thing.do", ok: false }, "it did not");
  expect(lines).toMatchObject([{ level: "warn", op: "thing.do", ok: false, msg: "it did not" }]);
  expect(Date.parse(String(lines[0]?.["time"]))).toBeGreaterThan(0);
});

test("secrets are redacted at the top, one level below, and in a child's fields; the caller's object is unchanged", () => {
  const { log, lines } = capture();
  const spec = { image: "a", env: { KEY: "hunter2" } };
  log.child({ authorization: "hunter2", op: "x" }).info({ spec, credentials: "hunter2" });
  expect(lines[0]).toMatchObject({
    op: "x",
    authorization: "[redacted]",
    credentials: "[redacted]",
    spec: { image: "a", env: "[redacted]" },
  });
  expect(spec.env).toEqual({ KEY: "hunter2" });
});

test("an error keeps its message and its stack", () => {
  const { log, lines } = capture();
  log.error({ err: new Error("broken") });
  expect(lines[0]?.["err"]).toMatchObject({
    message: "broken",
    stack: expect.stringContaining("log.test.ts"),
  });
});

test("lines below the level are not written", () => {
  const { log, lines } = capture("error");
  log.info({ op: "x" });
  expect(lines).toEqual([]);
});

test("buffered lines are written in order when the process ends", () => {
  const script = `
    import { createLog } from ${JSON.stringify(join(import.meta.dirname, "log.ts"))};
    const log = createLog({ level: "info" });
    for (let n = 0; n < 500; n++) log.info({ n });
    process.exit(0);`;
  const output = execFileSync(process.execPath, ["--input-type=module", "-e", script], { encoding: "utf8" });
  const numbers = output
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line).n);
  expect(numbers).toEqual(Array.from({ length: 500 }, (_, n) => n));
});
