/**
 * PGlite in a thread of its own, so that statements do not block the event loop and the calls on it. If the thread ends,
 * the next statement starts another, which recovers the database as PostgreSQL does after a crash. There is one session.
 */
import { Worker } from "node:worker_threads";
import { type PGlite, protocol } from "@electric-sql/pglite";

/** A message of PostgreSQL's protocol. */
export type ThreadRequest = Uint8Array | "close";
export type ThreadAnswer =
  | { readonly bytes: Uint8Array; readonly failure?: undefined }
  | { readonly bytes?: undefined; readonly failure: string };

/** The part of PGlite that its adapter for the driver uses. */
export type EmbeddedSession = Pick<PGlite, "waitReady" | "execProtocolStream">;

export class EmbeddedDatabase implements EmbeddedSession, AsyncDisposable {
  readonly waitReady = Promise.resolve();
  readonly #start: () => Promise<Thread>;
  #thread: Promise<Thread>;

  /** Creates the database where there is none. Throws what PGlite throws. `startWorker` is for tests. */
  static async open(
    folder: string,
    { startWorker = () => workerFor(folder) }: { readonly startWorker?: () => Worker } = {},
  ): Promise<EmbeddedDatabase> {
    const start = () => Thread.start(startWorker());
    return new EmbeddedDatabase(start, await start());
  }

  private constructor(start: () => Promise<Thread>, first: Thread) {
    this.#start = start;
    this.#thread = Promise.resolve(first);
  }

  readonly execProtocolStream: PGlite["execProtocolStream"] = async (message) => {
    const bytes = await (await this.#alive()).ask(message);
    const messages: Awaited<ReturnType<PGlite["execProtocolStream"]>> = [];
    new protocol.Parser().parse(bytes, (found) => messages.push(found));
    return messages;
  };

  async #alive(): Promise<Thread> {
    const last = this.#thread;
    const thread = await last.catch(() => undefined);
    if (thread?.hasEnded === false) return thread;
    // Of several statements that find the thread ended one starts the next: two threads would write to the same files.
    if (this.#thread === last) this.#thread = this.#start();
    return await this.#thread;
  }

  /** Open requests are answered first. */
  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#thread.catch(() => undefined))?.close();
  }
}

interface Waiting {
  resolve(bytes: Uint8Array): void;
  reject(error: Error): void;
}

class Thread {
  readonly #worker: Worker;
  readonly #waiting: Waiting[] = [];
  readonly #ended = Promise.withResolvers<void>();
  #hasEnded = false;

  static async start(worker: Worker): Promise<Thread> {
    const { promise: opened, resolve, reject } = Promise.withResolvers<void>();
    worker.once("message", () => resolve());
    worker.once("error", reject);
    worker.once("exit", () => reject(ended()));
    await opened;
    return new Thread(worker);
  }

  private constructor(worker: Worker) {
    this.#worker = worker;
    worker.unref();
    worker.on("message", (answer: ThreadAnswer) => this.#settle(answer));
    // `exit` follows.
    worker.on("error", () => undefined);
    worker.once("exit", () => {
      this.#hasEnded = true;
      for (const { reject } of this.#waiting.splice(0)) reject(ended());
      this.#ended.resolve();
    });
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  ask(message: Uint8Array): Promise<Uint8Array> {
    const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
    this.#waiting.push({ resolve, reject });
    // The process must not exit while an answer is due.
    this.#worker.ref();
    this.#worker.postMessage(message);
    return promise;
  }

  async close(): Promise<void> {
    if (this.#hasEnded) return;
    this.#worker.ref();
    this.#worker.postMessage("close");
    await this.#ended.promise;
  }

  #settle({ bytes, failure }: ThreadAnswer): void {
    const next = this.#waiting.shift();
    if (this.#waiting.length === 0) this.#worker.unref();
    if (failure === undefined) next?.resolve(bytes);
    else next?.reject(new Error(failure));
  }
}

function workerFor(folder: string): Worker {
  return new Worker(new URL("./embedded-thread.ts", import.meta.url), { workerData: { folder } });
}

/** With PostgreSQL's code for a crash: a retry may succeed. */
function ended(): Error {
  const error = new Error("The thread of the embedded database has ended.");
  return Object.assign(error, { code: "57P02", severity: "FATAL" });
}
