import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { z } from "zod";
import { FAULTS, Fault, type FaultCode } from "../domain/fault.ts";
import type { Package } from "../domain/package.ts";
import { Semaphore } from "../util/semaphore.ts";
import type { ReadPackageOptions } from "./read-package.ts";

export interface PackageReader extends AsyncDisposable {
  /** `readPackage` on another thread: same Package, same Faults. An abort ends the work. */
  read(path: string, uploadedAt: Date, signal: AbortSignal): Promise<Package>;
}

export interface PackageReaderOptions {
  readonly archives: ReadPackageOptions;
  /** Whoever uploads chooses how much there is to parse; past this time it is `package_too_large`. */
  readonly timeoutMs: number;
  /** Heap of one thread, in MiB: a package that needs more is `package_too_large` too. */
  readonly heapMbMax: number;
  /** Packages that are read at the same time. */
  readonly threadsMax: number;
}

export interface ReadOrder {
  readonly path: string;
  readonly uploadedAt: Date;
  readonly archives: ReadPackageOptions;
}

const Answer = z.discriminatedUnion("outcome", [
  z.object({ outcome: z.literal("read"), pkg: z.custom<Package>((value) => value instanceof Object) }),
  z.object({
    outcome: z.literal("refused"),
    code: z.custom<FaultCode>((value) => typeof value === "string" && Object.hasOwn(FAULTS, value)),
    message: z.string(),
    details: z.record(z.string(), z.unknown()),
  }),
  z.object({ outcome: z.literal("failed"), error: z.instanceof(Error) }),
]);
export type ReadAnswer = z.input<typeof Answer>;

/**
 * Reads packages beside the event loop. Parsing a manifest with hundreds of models takes the better part of a second,
 * a hostile one all that it is given: calls to plugins must not wait for either. One thread is kept for the next
 * package, because starting one costs more than most packages do.
 */
export function createPackageReader(options: PackageReaderOptions): PackageReader {
  return new ThreadedReader(options);
}

class ThreadedReader implements PackageReader {
  readonly #options: PackageReaderOptions;
  readonly #lane: Semaphore;
  #idle: Worker | undefined;
  #isClosed = false;

  constructor(options: PackageReaderOptions) {
    this.#options = options;
    this.#lane = new Semaphore(options.threadsMax);
  }

  read(path: string, uploadedAt: Date, signal: AbortSignal): Promise<Package> {
    return this.#lane.run(() => this.#read(path, uploadedAt, signal), signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await this.#idle?.terminate();
  }

  async #read(path: string, uploadedAt: Date, signal: AbortSignal): Promise<Package> {
    signal.throwIfAborted();
    const { archives, timeoutMs } = this.#options;
    const timeout = AbortSignal.timeout(timeoutMs);
    const thread = this.#idle ?? this.#start();
    this.#idle = undefined;
    let answer: z.output<typeof Answer>;
    try {
      thread.postMessage({ path, uploadedAt, archives } satisfies ReadOrder);
      const [message] = await once(thread, "message", { signal: AbortSignal.any([signal, timeout]) });
      answer = Answer.parse(message);
    } catch (error) {
      await thread.terminate();
      signal.throwIfAborted();
      throw this.#tooLarge(error, timeout) ?? error;
    }
    await this.#keep(thread);
    return take(answer);
  }

  #start(): Worker {
    const thread = new Worker(new URL("./package-reader-thread.ts", import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: this.#options.heapMbMax },
    });
    thread.unref();
    // Nobody waits on a thread that is kept: its end is then seen by the next package.
    thread.on("error", () => undefined);
    thread.on("exit", () => {
      if (this.#idle === thread) this.#idle = undefined;
    });
    return thread;
  }

  async #keep(thread: Worker): Promise<void> {
    if (this.#idle === undefined && !this.#isClosed) this.#idle = thread;
    else await thread.terminate();
  }

  #tooLarge(error: unknown, timeout: AbortSignal): Fault | undefined {
    const { timeoutMs, heapMbMax } = this.#options;
    if (timeout.aborted) return tooLarge(`reading it takes more than ${timeoutMs} ms`);
    const isOutOfMemory =
      error instanceof Error && "code" in error && error.code === "ERR_WORKER_OUT_OF_MEMORY";
    return isOutOfMemory ? tooLarge(`reading it takes more than ${heapMbMax} MiB of memory`) : undefined;
  }
}

function take(answer: z.output<typeof Answer>): Package {
  switch (answer.outcome) {
    case "read":
      return answer.pkg;
    case "refused":
      throw new Fault(answer.code, answer.message, { details: answer.details });
    case "failed":
      throw answer.error;
    default:
      return answer satisfies never;
  }
}

function tooLarge(why: string): Fault {
  return new Fault("package_too_large", `The package is refused: ${why}.`, {
    details: { field: "package", accepted: "manifest and provider files that can be read in time" },
  });
}
