/** What Berth asks of its database while nothing happens. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openSite } from "../harness/rigs/site.ts";

const NOTE_STATEMENTS = join(import.meta.dirname, "../fixtures/note-statements.ts");
/** Each poll writes this process's row. */
const POLL = "INSERT INTO berth_processes";
const POLLS = 12;
/** The row of the process and the one question whether anything has changed; timers that are apart ask it twice. */
const STATEMENTS_A_POLL_MAX = 4;

test("an idle Berth sends at most four statements a poll, however many parts of it watch rows", async () => {
  await using site = await openSite();
  const file = join(site.dataFolder, "statements");
  await using _berth = await site.start({
    NODE_OPTIONS: `--import ${NOTE_STATEMENTS}`,
    NOTE_STATEMENTS: file,
    BERTH_RECONCILE_SECONDS: "30",
  });
  const began = (await statementsIn(file)).length;
  const since = async () => (await statementsIn(file)).slice(began);
  const isPoll = (statement: string) => statement.includes(POLL);
  await expect.poll(async () => (await since()).filter(isPoll).length).toBeGreaterThan(POLLS);
  const statements = await since();
  const polls = statements.flatMap((statement, place) => (isPoll(statement) ? [place] : []));
  // The first one may belong to the start.
  const counted = statements.slice(polls[1], polls[POLLS]);
  expect(counted.length / (POLLS - 1), counted.join("\n")).toBeLessThanOrEqual(STATEMENTS_A_POLL_MAX);
});

async function statementsIn(file: string): Promise<readonly string[]> {
  const text = await readFile(file, "utf8");
  return text
    .slice(0, text.lastIndexOf("\n") + 1)
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
}
