/** The thread of `LargeFrames`: parses one line for each message. */
import { parentPort } from "node:worker_threads";
import { parseSessionBytes } from "../../codec.ts";
import { packLine } from "./packed-line.ts";

parentPort?.on("message", (line: ArrayBuffer) => {
  const { packed, transfer } = packLine(parseSessionBytes(Buffer.from(line)));
  parentPort?.postMessage(packed, transfer);
});
