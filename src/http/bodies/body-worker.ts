/** The thread behind `BodyReader`: it gets one body and sends back what Berth needs of it. */
import { parentPort } from "node:worker_threads";
import { answerJob, type BodyJob } from "./body-work.ts";

parentPort?.on("message", ({ job, body }: { job: BodyJob; body: Uint8Array }) => {
  parentPort?.postMessage(answerJob(job, Buffer.from(body.buffer, body.byteOffset, body.byteLength)));
});
