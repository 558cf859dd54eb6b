import { Worker } from "node:worker_threads";
import type { SessionLine } from "../codec.ts";

export interface LargeFramesOptions {
  /** All large frames of the process share this many bytes, from their first byte read to their delivery. */
  readonly budgetBytes: number;
  /** A frame that finds no room for so long is thrown away. */
  readonly waitMs: number;
}

interface Waiting {
  readonly bytes: number;
  grant(granted: boolean): void;
}

/**
 * Room for large frames, and the worker thread that parses them away from the event loop. The thread is made for
 * the first one; should it die, the frames in it count as unreadable and the next frame gets a new one.
 */
export class LargeFrames implements AsyncDisposable {
  readonly #options: LargeFramesOptions;
  readonly #queue: Waiting[] = [];
  readonly #parsing = new Map<number, (line: SessionLine | undefined) => void>();
  #used = 0;
  #nextId = 0;
  #worker: Worker | undefined;

  constructor(options: LargeFramesOptions) {
    this.#options = options;
  }

  /** First come, first served. True: the bytes are the caller's until it releases them. */
  reserve(bytes: number): true | Promise<boolean> {
    if (this.#queue.length === 0 && this.#fits(bytes)) {
      this.#used += bytes;
      return true;
    }
    const { promise, resolve } = Promise.withResolvers<boolean>();
    const waiting: Waiting = {
      bytes,
      grant: (granted) => {
        clearTimeout(timer);
        resolve(granted);
      },
    };
    const timer = setTimeout(() => {
      this.#queue.splice(this.#queue.indexOf(waiting), 1);
      resolve(false);
      this.#grantNext();
    }, this.#options.waitMs);
    this.#queue.push(waiting);
    return promise;
  }

  release(bytes: number): void {
    this.#used -= bytes;
    this.#grantNext();
  }

  /** Takes the buffer's memory away from this thread. Undefined where the line is not a session's frame. */
  parse(line: Buffer<ArrayBuffer>): Promise<SessionLine | undefined> {
    const { promise, resolve } = Promise.withResolvers<SessionLine | undefined>();
    const id = this.#nextId++;
    this.#parsing.set(id, resolve);
    this.#start().postMessage({ id, line: line.buffer }, [line.buffer]);
    return promise;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const waiting of this.#queue.splice(0)) waiting.grant(false);
    await this.#worker?.terminate();
  }

  /** A frame larger than the whole budget passes when it is alone. */
  #fits(bytes: number): boolean {
    return this.#used === 0 || this.#used + bytes <= this.#options.budgetBytes;
  }

  #grantNext(): void {
    for (let next = this.#queue[0]; next !== undefined && this.#fits(next.bytes); next = this.#queue[0]) {
      this.#queue.shift();
      this.#used += next.bytes;
      next.grant(true);
    }
  }

  #start(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const worker = new Worker(new URL("./large-frame-worker.ts", import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: 512 },
    });
    worker.unref();
    worker.on("message", ({ id, line }: { id: number; line: SessionLine | undefined }) => {
      this.#parsing.get(id)?.(line);
      this.#parsing.delete(id);
    });
    // Out of memory, most likely: `exit` follows each `error`.
    worker.on("error", () => undefined);
    worker.on("exit", () => {
      if (this.#worker === worker) this.#worker = undefined;
      for (const resolve of this.#parsing.values()) resolve(undefined);
      this.#parsing.clear();
    });
    this.#worker = worker;
    return worker;
  }
}
