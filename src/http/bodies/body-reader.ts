/**
 * Reads bodies of calls. A small one is read at once; a large one, which may take a second to parse, in a thread, one
 * at a time. The bytes that wait there are bounded, per tenant and in all.
 */
import { Worker } from "node:worker_threads";
import { Fault, toFault } from "../../domain/fault.ts";
import type { TenantId } from "../../domain/ids.ts";
import type { CallerFields } from "../../domain/invocation.ts";
import type { PreparedCall } from "../dify/dispatch/call-body.ts";
import {
  type BodyJob,
  type BodyWork,
  type DispatchedWork,
  type PostedAnswer,
  readDispatched,
  readFields,
  receivedFault,
} from "./body-work.ts";

export interface BodySettings {
  /** Bytes of bodies, waiting or in the thread, of one tenant. */
  readonly tenantBodiesBytesMax: number;
  /** The same of all tenants together. */
  readonly bodiesBytesMax: number;
}

/**
 * Up to this size a body is read on the event loop: 64 KiB of empty lists take 5 ms, typical bodies a tenth of that.
 */
const SMALL_BYTES = 64 * 1024;
/** Enough heap for the objects of the largest accepted body with the most accepted values. */
const WORKER_MIB = 512;

interface Waiting {
  readonly job: BodyJob;
  readonly body: Buffer;
  readonly settle: (answer: PostedAnswer | Fault) => void;
}

/**
 * One per process. It owns the reader thread; disposing it refuses waiting bodies with `shutting_down` and ends the
 * thread.
 */
export class BodyReader implements Disposable {
  readonly #settings: BodySettings;
  readonly #queue: Waiting[] = [];
  readonly #bytesOf = new Map<string, number>();
  #bytes = 0;
  #running: Waiting | undefined;
  #worker: Worker | undefined;
  #isOver = false;

  constructor(settings: BodySettings) {
    this.#settings = settings;
  }

  /** Bytes of bodies that wait for the thread or are in it. */
  get bytes(): number {
    return this.#bytes;
  }

  /** May detach the body's memory from the caller. Throws `invalid_json`, `invalid_input` and `busy`. */
  async readFields(work: BodyWork, body: Buffer, tenantId: TenantId): Promise<CallerFields> {
    if (body.length <= SMALL_BYTES) return readFields(work, body);
    // an operation also holds functions, which cannot be sent to a thread: its names can
    const { type, action } = work;
    return (await this.#read({ kind: "fields", work: { type, action } }, body, tenantId)) as CallerFields;
  }

  /** The same for the Dify door, with the daemon's wording of refusals. */
  async readDispatched(work: DispatchedWork, body: Buffer): Promise<PreparedCall> {
    if (body.length <= SMALL_BYTES) return readDispatched(work, body);
    return (await this.#read({ kind: "dispatched", work }, body, work.tenantId)) as PreparedCall;
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    const fault = new Fault("shutting_down", "Berth is stopping.");
    for (const { settle } of this.#queue.splice(0)) settle(fault);
    this.#end(this.#worker);
  }

  async #read(
    job: BodyJob,
    body: Buffer,
    tenantId: TenantId | undefined,
  ): Promise<CallerFields | PreparedCall> {
    // calls whose path names no tenant share one tenant's bound
    const holder = tenantId ?? "";
    this.#reserve(holder, body.length);
    const { length } = body;
    try {
      const { promise, resolve, reject } = Promise.withResolvers<PostedAnswer>();
      const settle = (answer: PostedAnswer | Fault) =>
        answer instanceof Fault ? reject(answer) : resolve(answer);
      this.#queue.push({ job, body, settle });
      this.#runNext();
      const answer = await promise;
      if (!answer.ok) throw receivedFault(answer.fault);
      return { ...answer.answer, refusal: answer.refusal && receivedFault(answer.refusal) };
    } finally {
      this.#release(holder, length);
    }
  }

  #reserve(holder: string, bytes: number): void {
    if (this.#isOver) throw new Fault("shutting_down", "Berth is stopping.");
    const { tenantBodiesBytesMax, bodiesBytesMax } = this.#settings;
    const own = this.#bytesOf.get(holder) ?? 0;
    if (own + bytes > tenantBodiesBytesMax) throw busy("this tenant's calls", own, tenantBodiesBytesMax);
    if (this.#bytes + bytes > bodiesBytesMax) throw busy("all calls", this.#bytes, bodiesBytesMax);
    this.#bytes += bytes;
    this.#bytesOf.set(holder, own + bytes);
  }

  #release(holder: string, bytes: number): void {
    this.#bytes -= bytes;
    const left = (this.#bytesOf.get(holder) ?? 0) - bytes;
    if (left > 0) this.#bytesOf.set(holder, left);
    else this.#bytesOf.delete(holder);
  }

  #runNext(): void {
    if (this.#running !== undefined || this.#isOver) return;
    const next = this.#queue.shift();
    if (next === undefined) return;
    this.#running = next;
    try {
      const body = ownMemory(next.body);
      this.#start().postMessage({ job: next.job, body }, [body.buffer]);
    } catch (error) {
      // the thread could not be started; the next body tries again
      this.#settle(toFault(error));
    }
  }

  #settle(answer: PostedAnswer | Fault): void {
    const done = this.#running;
    this.#running = undefined;
    done?.settle(answer);
    this.#runNext();
  }

  #start(): Worker {
    if (this.#worker !== undefined) return this.#worker;
    const worker = new Worker(new URL("./body-worker.ts", import.meta.url), {
      resourceLimits: { maxOldGenerationSizeMb: WORKER_MIB },
    });
    worker.unref();
    worker.on("message", (answer: PostedAnswer) => this.#settle(answer));
    const died = new Fault("busy", "The body could not be read because its reader thread ended; retry.");
    worker.on("messageerror", () => this.#settle(died));
    // out of memory, most likely; `exit` follows each `error`
    worker.on("error", () => undefined);
    worker.on("exit", () => {
      if (this.#worker !== worker) return;
      this.#worker = undefined;
      this.#settle(this.#isOver ? new Fault("shutting_down", "Berth is stopping.") : died);
    });
    this.#worker = worker;
    return worker;
  }

  #end(worker: Worker | undefined): void {
    // its `exit` settles the body that it was reading
    worker?.terminate().catch(() => undefined);
  }
}

/** A buffer that shares its memory with others cannot be transferred to another thread. */
function ownMemory(body: Buffer): Uint8Array<ArrayBuffer> {
  const { buffer, byteOffset, byteLength } = body;
  return buffer instanceof ArrayBuffer && byteLength === buffer.byteLength
    ? new Uint8Array(buffer, byteOffset, byteLength)
    : Uint8Array.from(body);
}

function busy(whose: string, value: number, accepted: number): Fault {
  return new Fault(
    "busy",
    `Large bodies of ${whose} already use ${value} of ${accepted} bytes of memory; retry.`,
    { details: { field: "body", value, accepted } },
  );
}
