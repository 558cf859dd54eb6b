/** How long each test file may take, and how the budgets are read on another machine. */
import { createHash } from "node:crypto";

/** Seconds that a file takes in a whole run on 2 quiet cores. Files of a project that are not named take this at most. */
const PROJECT_SECONDS: Readonly<Record<string, number>> = {
  src: 4,
  scripts: 4,
  contract: 10,
  integration: 12,
  e2e: 25,
  hostile: 30,
};

/** Files that take more, measured. Whoever makes one slower writes it down here. */
const FILE_SECONDS: Readonly<Record<string, number>> = {};

/** A file is late when it takes this many times as long as it did when it was measured. */
const ROOM = 3;
/** What `work` took on the machine of the measurements. */
const REFERENCE_MS = 250;

/** Milliseconds that a file takes on the machine of the measurements; `file` is relative to the project's root. */
export function expectedMs(file: string): number {
  const [top = "", project = ""] = file.split("/");
  const seconds = FILE_SECONDS[file] ?? PROJECT_SECONDS[top === "test" ? project : top] ?? 0;
  return seconds * 1000;
}

export function budgetMs(file: string): number {
  return ROOM * expectedMs(file);
}

/** How many times as slow this machine is now; 1 for one that is as fast or faster. */
export function machineFactor(): number {
  const began = performance.now();
  work();
  return Math.max(1, (performance.now() - began) / REFERENCE_MS);
}

function work(): void {
  const block = Buffer.alloc(1 << 20);
  const hash = createHash("sha256");
  for (let blocks = 0; blocks < 256; blocks += 1) hash.update(block);
  hash.digest();
}
