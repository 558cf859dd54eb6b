/** The thread of `package-reader.ts`: reads one archive after another. */
import { parentPort } from "node:worker_threads";
import { isFault } from "../domain/fault.ts";
import { readBundle } from "./bundle/read-bundle.ts";
import type { ReadAnswer, ReadOrder } from "./package-reader.ts";
import { readPackage } from "./read-package.ts";

parentPort?.on("message", (order: ReadOrder) => {
  answer(order)
    .then((answered) => parentPort?.postMessage(answered))
    // An answer that cannot be sent ends the thread: its order fails, and the next one gets a new thread.
    .catch((error: unknown) =>
      setImmediate(() => {
        throw error;
      }),
    );
});

async function answer(order: ReadOrder): Promise<ReadAnswer> {
  try {
    return { outcome: "read", value: await read(order) };
  } catch (error) {
    if (isFault(error)) {
      const { code, message, details } = error;
      return { outcome: "refused", code, message, details };
    }
    return { outcome: "failed", error: error instanceof Error ? error : new Error(String(error)) };
  }
}

async function read(order: ReadOrder): Promise<unknown> {
  if (order.kind === "bundle") return await readBundle(order.path, order.archives);
  return await readPackage(order.path, order.uploadedAt, order.archives);
}
