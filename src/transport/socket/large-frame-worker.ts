/** The thread behind `LargeFrames`: one line in, its parsed frame out. */
import { parentPort } from "node:worker_threads";
import { parseSessionLine } from "../codec.ts";

parentPort?.on("message", ({ id, line }: { id: number; line: ArrayBuffer }) => {
  parentPort?.postMessage({ id, line: parseSessionLine(Buffer.from(line).toString("utf8")) });
});
