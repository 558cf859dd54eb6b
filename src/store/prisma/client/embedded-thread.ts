/**
 * The thread of `EmbeddedDatabase`: messages of PostgreSQL's protocol in, the bytes of its answers out, in order. The first
 * message out is `open`.
 */
import { setFlagsFromString } from "node:v8";
import { parentPort, workerData } from "node:worker_threads";
import { PGlite } from "@electric-sql/pglite";
import type { ThreadAnswer, ThreadRequest } from "./embedded-database.ts";

const { folder } = workerData as { readonly folder: string };
// Without V8's second compiler for WebAssembly: on this database it took more of the processors, for minutes after a
// start, than its code ever saved, and 150 MB.
for (const flag of ["--no-wasm-dynamic-tiering", "--no-wasm-tier-up"]) setFlagsFromString(flag);
const database = await PGlite.create(folder);
let turn = Promise.resolve();
parentPort?.on("message", (request: ThreadRequest) => {
  turn = turn.then(() => serve(request));
});
parentPort?.postMessage("open");

async function serve(request: ThreadRequest): Promise<void> {
  if (request === "close") {
    await database.close();
    parentPort?.close();
    return;
  }
  try {
    // Copied to memory of its own, which is transferred: the database reuses its buffer.
    const bytes = new Uint8Array(await database.execProtocolRaw(request));
    say({ bytes }, [bytes.buffer]);
  } catch (error) {
    say({ failure: String(error) });
  }
}

function say(answer: ThreadAnswer, transfer: readonly ArrayBuffer[] = []): void {
  parentPort?.postMessage(answer, transfer);
}
