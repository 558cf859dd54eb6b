/** Whoever reads the log may go away, or stop reading: Berth goes on, and ends as it would have ended. */
import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { createInterface, type Interface } from "node:readline";
import { afterEach, expect, test } from "vitest";

const WRITER = join(import.meta.dirname, "../fixtures/log-writer.ts");
/** About three times what may wait for a reader. */
const LINES = 40_000;

const running: ChildProcess[] = [];
afterEach(() => {
  for (const child of running.splice(0)) child.kill("SIGKILL");
});

function start(lines: number): ChildProcess & { readonly stdout: NodeJS.ReadableStream } {
  const child = fork(WRITER, [String(lines)], { stdio: ["ignore", "pipe", "inherit", "ipc"] });
  running.push(child);
  if (child.stdout === null) throw new Error("the output was to be a pipe");
  return Object.assign(child, { stdout: child.stdout });
}

interface Line {
  readonly op: string;
  readonly lines?: number;
  readonly word?: number;
}

async function read(lines: Interface, until: (line: Line) => boolean): Promise<Line[]> {
  const seen: Line[] = [];
  for await (const text of lines) {
    const line = JSON.parse(text);
    seen.push(line);
    if (until(line)) break;
  }
  return seen;
}

test("a reader that closes the log loses its lines, and Berth is not affected", async () => {
  const child = start(0);
  await once(child, "message");
  child.stdout.destroy();
  for (let word = 0; word < 20; word++) child.send(word);
  child.send("end");
  const [code] = await once(child, "exit");
  expect(code).toBe(0);
});

test("a reader that stops reading does not block Berth, and gets the number of lines that were dropped", async () => {
  const child = start(LINES);
  // it logs on, and answers, while nobody reads
  await once(child, "message");
  const lines = createInterface({ input: child.stdout });
  let words = 0;
  const seen = await read(lines, ({ op }) => {
    // one after the other, until one finds room
    if (op === "test.line") child.send(words++);
    return op === "test.word";
  });
  const [lost, word] = seen.slice(-2);
  expect(lost).toMatchObject({ op: "log.drop", level: "warn", ok: false });
  const arrived = seen.filter(({ op }) => op === "test.line").length;
  expect(arrived + (lost?.lines ?? 0)).toBe(LINES + (word?.word ?? 0));
});
