/**
 * Loaded into a Berth by `--import`: on SIGUSR2 it collects its garbage and writes into a file how many bytes are in
 * use all the same. What a process has in RAM says little of that: it also holds what nobody has collected yet.
 */
import { renameSync, writeFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { isMainThread } from "node:worker_threads";

const file = process.env["BERTH_TEST_LIVE_MEMORY"];
if (isMainThread && file !== undefined) tellMemory(file);

function tellMemory(place: string): void {
  setFlagsFromString("--expose-gc");
  const collect: unknown = runInNewContext("gc");
  if (typeof collect !== "function") throw new Error("this Node does not let its garbage be collected");
  process.on("SIGUSR2", () => {
    // What a first collection lets go of, such as a buffer whose owner has gone, is found by the second one.
    collect();
    collect();
    const { heapUsed, external } = process.memoryUsage();
    // Put in place whole: the test waits for the file.
    writeFileSync(`${place}.new`, String(heapUsed + external));
    renameSync(`${place}.new`, place);
  });
}
