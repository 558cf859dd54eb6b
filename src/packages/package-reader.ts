import { once } from "node:events";
import { Worker } from "node:worker_threads";
import { z } from "zod";
import { FAULTS, Fault, type FaultCode } from "../domain/fault.ts";
import { errorCode } from "../util/error-code.ts";
import { Semaphore } from "../util/semaphore.ts";
import type { ReadBundle } from "./bundle/read-bundle.ts";
import type { ReadPackage, ReadPackageOptions } from "./read-package.ts";

export interface PackageReader extends AsyncDisposable {
  /** `readPackage` on another thread: same package, same Faults, and `busy`. An abort ends the work. */
  read(path: string, uploadedAt: Date, signal: AbortSignal): Promise<ReadPackage>;
  /** As `read`, but the declaration shows icons by their file names. */
  decode(path: string, uploadedAt: Date, signal: AbortSignal): Promise<ReadPackage>;
  /** `readBundle` on another thread; a bundle is larger than a package, and has bounds of its own. */
  readBundle(path: string, bounds: BundleBounds, signal: AbortSignal): Promise<ReadBundle>;
}

export interface BundleBounds {
  readonly archives: ReadPackageOptions;
  /** In place of the reader's limit. */
  readonly cpuMsMax: number;
}

export interface PackageReaderOptions {
  readonly archives: ReadPackageOptions;
  /**
   * Processor time of one read; beyond it the package is `package_too_large`, because the uploader chooses how much there
   * is to parse. Wall-clock time would measure the machine as well.
   */
  readonly cpuMsMax: number;
  /** Wall-clock time of one read; beyond it the read is `busy`, and may be retried. */
  readonly timeoutMs: number;
  /** Heap of one thread, in MiB: a package that needs more is `package_too_large` too. */
  readonly heapMbMax: number;
  /** Number of packages that are read at the same time. */
  readonly threadsMax: number;
}

export type ReadOrder =
  | {
      readonly kind: "package";
      readonly path: string;
      readonly uploadedAt: Date;
      readonly archives: ReadPackageOptions;
    }
  | { readonly kind: "bundle"; readonly path: string; readonly archives: ReadPackageOptions };

const Answer = z.discriminatedUnion("outcome", [
  z.object({ outcome: z.literal("read"), value: z.unknown() }),
  z.object({
    outcome: z.literal("refused"),
    code: z.custom<FaultCode>((value) => typeof value === "string" && Object.hasOwn(FAULTS, value)),
    message: z.string(),
    details: z.record(z.string(), z.unknown()),
  }),
  z.object({ outcome: z.literal("failed"), error: z.instanceof(Error) }),
]);
export type ReadAnswer = z.input<typeof Answer>;
/** The thread runs our code: its results are not validated again. */
const TheirPackage = z.custom<ReadPackage>((value) => value instanceof Object);
const TheirBundle = z.custom<ReadBundle>((value) => value instanceof Object);

/**
 * Reads packages outside the event loop, so that calls do not wait: parsing a manifest with hundreds of models takes most
 * of a second, and a hostile one uses all the time that it gets. One thread is kept for the next package, because starting
 * a thread costs more than reading most packages.
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

  async read(path: string, uploadedAt: Date, signal: AbortSignal): Promise<ReadPackage> {
    const { archives } = this.#options;
    return await this.#readPackage({ kind: "package", path, uploadedAt, archives }, signal);
  }

  async decode(path: string, uploadedAt: Date, signal: AbortSignal): Promise<ReadPackage> {
    const archives = { ...this.#options.archives, icons: "names" } as const;
    return await this.#readPackage({ kind: "package", path, uploadedAt, archives }, signal);
  }

  async #readPackage(order: ReadOrder, signal: AbortSignal): Promise<ReadPackage> {
    return TheirPackage.parse(await this.#lane.run(() => this.#run(order, this.#options, signal), signal));
  }

  async readBundle(path: string, bounds: BundleBounds, signal: AbortSignal): Promise<ReadBundle> {
    const order: ReadOrder = { kind: "bundle", path, archives: bounds.archives };
    const limits = { ...this.#options, cpuMsMax: bounds.cpuMsMax };
    return TheirBundle.parse(await this.#lane.run(() => this.#run(order, limits, signal), signal));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#isClosed = true;
    await this.#idle?.terminate();
  }

  async #run(order: ReadOrder, limits: PackageReaderOptions, signal: AbortSignal): Promise<unknown> {
    signal.throwIfAborted();
    const thread = this.#idle ?? this.#start();
    this.#idle = undefined;
    let answer: z.output<typeof Answer>;
    using overrun = new Overrun(thread, limits);
    try {
      thread.postMessage(order);
      const [message] = await once(thread, "message", { signal: AbortSignal.any([signal, overrun.signal]) });
      answer = Answer.parse(message);
    } catch (error) {
      await thread.terminate();
      signal.throwIfAborted();
      overrun.signal.throwIfAborted();
      throw this.#tooLarge(error) ?? error;
    }
    await this.#keep(thread);
    return take(answer);
  }

  #start(): Worker {
    const thread = new Worker(new URL("./package-reader-thread.ts", import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: this.#options.heapMbMax },
    });
    thread.unref();
    // Nothing awaits an idle thread: the next package notices its end.
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

  #tooLarge(error: unknown): Fault | undefined {
    const { heapMbMax } = this.#options;
    const isOutOfMemory = errorCode(error) === "ERR_WORKER_OUT_OF_MEMORY";
    return isOutOfMemory ? tooLarge(`reading it takes more than ${heapMbMax} MiB of memory`) : undefined;
  }
}

/** Minimum time between two measurements of a thread. */
const ASK_MS_MIN = 20;

/** Measures the time of one order; its signal aborts with the refusal. */
class Overrun implements Disposable {
  readonly #abort = new AbortController();
  readonly #thread: Worker;
  readonly #cpuMsMax: number;
  readonly #usedBefore: Promise<number>;
  readonly #byTheClock: NodeJS.Timeout;
  #asking: NodeJS.Timeout;

  constructor(thread: Worker, { cpuMsMax, timeoutMs }: PackageReaderOptions) {
    this.#thread = thread;
    this.#cpuMsMax = cpuMsMax;
    this.#usedBefore = usedMs(thread);
    this.#asking = setTimeout(() => this.#askSoon(), cpuMsMax);
    this.#byTheClock = setTimeout(() => this.#abort.abort(tooBusy(timeoutMs)), timeoutMs);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  [Symbol.dispose](): void {
    this.#abort.abort(new Error("the order is done"));
    clearTimeout(this.#asking);
    clearTimeout(this.#byTheClock);
  }

  /** Where the thread cannot be measured, the wall clock alone decides. */
  #askSoon(): void {
    this.#ask().catch(() => undefined);
  }

  async #ask(): Promise<void> {
    const used = (await usedMs(this.#thread)) - (await this.#usedBefore);
    if (this.signal.aborted) return;
    const left = this.#cpuMsMax - used;
    if (left <= 0) {
      this.#abort.abort(tooLarge(`reading it takes more than ${this.#cpuMsMax} ms of a processor`));
    } else {
      this.#asking = setTimeout(() => this.#askSoon(), Math.max(ASK_MS_MIN, left));
    }
  }
}

/** Processor time of a thread so far; 0 for one that does not run yet. */
async function usedMs(thread: Worker): Promise<number> {
  const { user, system } = await thread.cpuUsage().catch(() => ({ user: 0, system: 0 }));
  return (user + system) / 1000;
}

function take(answer: z.output<typeof Answer>): unknown {
  switch (answer.outcome) {
    case "read":
      return answer.value;
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

function tooBusy(timeoutMs: number): Fault {
  return new Fault(
    "busy",
    `The package could not be read within ${timeoutMs / 1000} s: the machine is busy.`,
  );
}
