import { Worker } from "node:worker_threads";
import type { BrokenLine, SessionLine } from "../../codec.ts";
import { type PackedLine, unpackLine } from "./packed-line.ts";

export interface LargeFramesOptions {
  /** All large frames of the process share this many bytes, from their first byte read to their delivery. */
  readonly budgetBytes: number;
  /** Who holds more than this lets all others that wait through first: no plugin can take the room of the others. */
  readonly ownerBytesMax: number;
  /** A frame that finds no room for so long is thrown away. */
  readonly waitMs: number;
  /** Room that nobody has given back by then is given back all the same. */
  readonly holdMs: number;
  /** A frame that is not read by then counts as one that ended the thread. */
  readonly readMs: number;
  /** A thread without work for so long is ended, and its memory with it. */
  readonly idleMs: number;
  /** Makes the thread; tests bring one that dies. */
  readonly startWorker?: () => Worker;
}

/** Room for one frame. Giving it back twice is harmless. */
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
 * Room for large frames, and the thread that reads them away from the event loop. The thread has one frame at a time:
 * should it die of one, that frame alone is lost, and the others go to its successor.
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

  /** Bytes of the budget that are taken. */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** First come, first served, but for those whose owner has its share: they come last. Undefined: no room in time. */
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

  /** Takes the buffer's memory away from this thread. Rejects where the thread died of the line. */
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

  /** A frame larger than all there is passes when it is alone. */
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
      // whoever is next must not be overtaken for ever by smaller ones
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

  /** A frame that comes while it ends gets another. */
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
    // an answer that cannot be read back comes as this instead
    worker.on("messageerror", () => terminate(worker));
    // `exit` follows each `error`
    worker.on("error", () => undefined);
    worker.on("exit", () => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      this.#settle((job) => job.reject(threadEnded()));
    });
    this.#worker = worker;
    return worker;
  }

  #settle(tell: (job: Job) => void): void {
    const current = this.#current;
    this.#current = undefined;
    clearTimeout(current?.timer);
    if (current !== undefined) tell(current.job);
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

/** Its `exit` tells the rest; one that has ended already needs nothing. */
function terminate(worker: Worker): void {
  worker.terminate().catch(() => undefined);
}
