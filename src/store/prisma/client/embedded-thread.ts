/**
 * The thread behind `EmbeddedDatabase`: messages of PostgreSQL's protocol in, the bytes of its answers out, in order.
 * The first word out is `open`.
 */
import { parentPort, workerData } from "node:worker_threads";
import { PGlite } from "@electric-sql/pglite";
import type { ThreadAnswer, ThreadRequest } from "./embedded-database.ts";

const { folder } = workerData as { readonly folder: string };
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
    // in memory of its own, which is handed over: the database's is used again
    const bytes = new Uint8Array(await database.execProtocolRaw(request));
    say({ bytes }, [bytes.buffer]);
  } catch (error) {
    say({ failure: String(error) });
  }
}

function say(answer: ThreadAnswer, transfer: readonly ArrayBuffer[] = []): void {
  parentPort?.postMessage(answer, transfer);
}
