import { expect, test } from "vitest";
import { Fault } from "../../domain/fault.ts";
import type { TaskEventData } from "../../domain/task.ts";
import { TaskJournal } from "./task-journal.ts";

function journal(logBytesMax = 1000) {
  const writes: (readonly TaskEventData[])[] = [];
  const write = async (events: readonly TaskEventData[]) => {
    writes.push(events);
  };
  const made = new TaskJournal("building", { write, batchMs: 60_000, logBytesMax, lineCharsMax: 10 });
  return { made, writes };
}

test("events are written together and in order", async () => {
  const { made, writes } = journal();
  made.log("one\ntwo\n\n");
  made.progress("half", { done: 1, total: 2 });
  await made.flush();
  expect(writes).toEqual([
    [
      { type: "log", step: "building", text: "one" },
      { type: "log", step: "building", text: "two" },
      { type: "progress", step: "building", message: "half", done: 1, total: 2 },
    ],
  ]);
});

test("a long line is cut, and a log over its byte limit ends with one line that says so", async () => {
  const { made, writes } = journal(30);
  made.log("0123456789ABC");
  for (let line = 0; line < 100; line += 1) made.log("more");
  await made.flush();
  const texts = writes.flat().map((event) => (event.type === "log" ? event.text : ""));
  expect(texts[0]).toBe("0123456789 [cut]");
  expect(texts.at(-1)).toBe("[the log of this task ends here: it reached 30 bytes]");
  expect(texts.length).toBeLessThan(8);
});

test("a flush throws the error of a failed write", async () => {
  const write = () => Promise.reject(new Fault("lease_lost", "gone"));
  const made = new TaskJournal("building", { write, batchMs: 60_000, logBytesMax: 10, lineCharsMax: 10 });
  made.log("x");
  await expect(made.flush()).rejects.toMatchObject({ code: "lease_lost" });
});
