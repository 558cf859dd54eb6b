import { Worker } from "node:worker_threads";
import type { BrokenLine, SessionLine } from "../../codec.ts";
import { type PackedLine, unpackLine } from "./packed-line.ts";

export interface LargeFramesOptions {
  /** Bytes of all large frames of the process together, from the first byte read to the delivery. */
  readonly budgetBytes: number;
  /** An owner that holds more waits behind all others, so that no plugin can take all the room. */
  readonly ownerBytesMax: number;
  /** A frame without room for so long is discarded. */
  readonly waitMs: number;
  /** Room that is not released by then is released all the same. */
  readonly holdMs: number;
  /** A frame that is not parsed by then ends the thread. */
  readonly readMs: number;
  /** A thread without work for so long is ended, which frees its memory. */
  readonly idleMs: number;
  /** Makes the thread; for tests. */
  readonly startWorker?: () => Worker;
}

/** Room for one frame. Releasing it twice is harmless. */
export interface Room {
  release(): void;
}

interface Waiting {
  readonly owner: string;
  readonly bytes: number;
  grant(room: Room | undefined): void;
}

interface Job {
  readonly line: Buffer<ArrayBuffer>;
  resolve(line: SessionLine | BrokenLine): void;
  reject(error: Error): void;
}

/**
 * Grants room for large frames, and parses them in a thread, away from the event loop. The thread gets one frame at a
 * time: if it dies, only that frame is lost, and a new thread parses the others.
 */
export class LargeFrames implements AsyncDisposable {
  readonly #options: LargeFramesOptions;
  readonly #queue: Waiting[] = [];
  readonly #heldBy = new Map<string, number>();
  readonly #jobs: Job[] = [];
  #heldBytes = 0;
  #current: { readonly job: Job; readonly timer: NodeJS.Timeout } | undefined;
  #worker: Worker | undefined;
  #idle: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(options: LargeFramesOptions) {
    this.#options = options;
  }

  /** Bytes of the budget in use. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** First come, first served, except that owners over their share come last. Undefined: no room in time. */
  reserve(owner: string, bytes: number): Room | Promise<Room | undefined> {
    if (this.#queue.length === 0 && this.#fits(bytes)) return this.#take(owner, bytes);
    const { promise, resolve } = Promise.withResolvers<Room | undefined>();
    const waiting: Waiting = {
      owner,
      bytes,
      grant: (room) => {
        clearTimeout(timer);
        resolve(room);
      },
    };
    const timer = setTimeout(() => {
      this.#queue.splice(this.#queue.indexOf(waiting), 1);
      resolve(undefined);
      this.#grantNext();
    }, this.#options.waitMs);
    this.#queue.push(waiting);
    this.#grantNext();
    return promise;
  }

  /** Transfers the buffer's memory to the thread. Rejects if the thread died of the line. */
  read(line: Buffer<ArrayBuffer>): Promise<SessionLine | BrokenLine> {
    const { promise, resolve, reject } = Promise.withResolvers<SessionLine | BrokenLine>();
    this.#jobs.push({ line, resolve, reject });
    this.#next();
    return promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#idle);
    for (const waiting of this.#queue.splice(0)) waiting.grant(undefined);
    for (const job of this.#jobs.splice(0)) job.reject(threadEnded());
    await this.#worker?.terminate();
  }

  /** A frame larger than the budget passes when it is alone. */
  #fits(bytes: number): boolean {
    return this.#heldBytes === 0 || this.#heldBytes + bytes <= this.#options.budgetBytes;
  }

  #take(owner: string, bytes: number): Room {
    this.#add(owner, bytes);
    let isHeld = true;
    const release = () => {
      if (!isHeld) return;
      isHeld = false;
      clearTimeout(timer);
      this.#add(owner, -bytes);
      this.#grantNext();
    };
    const timer = setTimeout(release, this.#options.holdMs);
    return { release };
  }

  #add(owner: string, bytes: number): void {
    this.#heldBytes += bytes;
    const own = (this.#heldBy.get(owner) ?? 0) + bytes;
    if (own === 0) this.#heldBy.delete(owner);
    else this.#heldBy.set(owner, own);
  }

  #grantNext(): void {
    for (;;) {
      const next = this.#queue.find((waiting) => this.#isWithinShare(waiting)) ?? this.#queue[0];
      // Smaller frames must not overtake the next one for ever.
      if (next === undefined || !this.#fits(next.bytes)) return;
      this.#queue.splice(this.#queue.indexOf(next), 1);
      next.grant(this.#take(next.owner, next.bytes));
    }
  }

  #isWithinShare({ owner, bytes }: Waiting): boolean {
    const own = this.#heldBy.get(owner) ?? 0;
    return own === 0 || own + bytes <= this.#options.ownerBytesMax;
  }

  #next(): void {
    if (this.#current !== undefined) return;
    const job = this.#jobs.shift();
    clearTimeout(this.#idle);
    if (job === undefined) {
      this.#idle = setTimeout(() => this.#endIdle(), this.#options.idleMs);
      this.#idle.unref();
      return;
    }
    const worker = this.#start();
    const timer = setTimeout(() => terminate(worker), this.#options.readMs);
    this.#current = { job, timer };
    worker.postMessage(job.line.buffer, [job.line.buffer]);
  }

  /** A frame that arrives meanwhile gets a new thread. */
  #endIdle(): void {
    const worker = this.#worker;
    this.#worker = undefined;
    if (worker !== undefined) terminate(worker);
  }

  #start(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const worker = this.#options.startWorker?.() ?? startWorker();
    worker.unref();
    worker.on("message", (line: PackedLine) => this.#settle((job) => job.resolve(unpackLine(line))));
    // An answer that cannot be deserialized comes as this event.
    worker.on("messageerror", () => terminate(worker));
    // `exit` follows each `error`.
    worker.on("error", () => undefined);
    worker.on("exit", () => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      this.#settle((job) => job.reject(threadEnded()));
    });
    this.#worker = worker;
    return worker;
  }

  #settle(settle: (job: Job) => void): void {
    const current = this.#current;
    this.#current = undefined;
    clearTimeout(current?.timer);
    if (current !== undefined) settle(current.job);
    if (!this.#isClosed) this.#next();
  }
}

function startWorker(): Worker {
  return new Worker(new URL("./large-frame-worker.ts", import.meta.url), {
    resourceLimits: { maxOldGenerationSizeMb: 512 },
  });
}

function threadEnded(): Error {
  return new Error("the thread that reads large messages ended");
}

/** The `exit` listener does the rest; a thread that has ended needs nothing. */
function terminate(worker: Worker): void {
  worker.terminate().catch(() => undefined);
}
