/** The thread of `package-reader.ts`: reads one package after another. */
import { parentPort } from "node:worker_threads";
import { isFault } from "../domain/fault.ts";
import type { ReadAnswer, ReadOrder } from "./package-reader.ts";
import { readPackage } from "./read-package.ts";

parentPort?.on("message", async (order: ReadOrder) => parentPort?.postMessage(await answer(order)));

async function answer({ path, uploadedAt, archives }: ReadOrder): Promise<ReadAnswer> {
  try {
    return { outcome: "read", pkg: await readPackage(path, uploadedAt, archives) };
  } catch (error) {
    if (isFault(error)) {
      const { code, message, details } = error;
      return { outcome: "refused", code, message, details };
    }
    return { outcome: "failed", error: error instanceof Error ? error : new Error(String(error)) };
  }
}
