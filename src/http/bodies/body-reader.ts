/**
 * Bodies of calls. A small one is read at once; a large one, whose objects may take a second to build, in a thread
 * beside the event loop, one at a time. What waits there is bounded, for each tenant and in all.
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
  /** Bodies that are read beside the event loop at most, of one tenant. */
  readonly tenantBodiesBytesMax: number;
  /** And of all. */
  readonly bodiesBytesMax: number;
}

/** Up to here a body is read on the event loop: 64 KiB of empty lists take it 5 ms, as usual a tenth of that. */
const SMALL_BYTES = 64 * 1024;
/** What the objects of the largest body with the most values that are accepted may take. */
const WORKER_MIB = 512;

interface Waiting {
  readonly job: BodyJob;
  readonly body: Buffer;
  readonly settle: (answer: PostedAnswer | Fault) => void;
}

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

  /** Bodies that wait or are read beside the event loop. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Takes the body's memory away. Throws `invalid_json`, `invalid_input` and `busy`. */
  async readFields(work: BodyWork, body: Buffer, tenantId: TenantId): Promise<CallerFields> {
    if (body.length <= SMALL_BYTES) return readFields(work, body);
    // an operation fits its names' type, and has functions, which go to no other thread
    const { type, action } = work;
    return (await this.#read({ kind: "fields", work: { type, action } }, body, tenantId)) as CallerFields;
  }

  /** The same for the daemon's door, in whose words it refuses. */
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
    // where the path names no tenant, all such calls share what one may have
    const holder = tenantId ?? "";
    this.#take(holder, body.length);
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
      this.#give(holder, length);
    }
  }

  #take(holder: string, bytes: number): void {
    if (this.#isOver) throw new Fault("shutting_down", "Berth is stopping.");
    const { tenantBodiesBytesMax, bodiesBytesMax } = this.#settings;
    const own = this.#bytesOf.get(holder) ?? 0;
    if (own + bytes > tenantBodiesBytesMax) throw busy("this tenant's calls", own, tenantBodiesBytesMax);
    if (this.#bytes + bytes > bodiesBytesMax) throw busy("all calls", this.#bytes, bodiesBytesMax);
    this.#bytes += bytes;
    this.#bytesOf.set(holder, own + bytes);
  }

  #give(holder: string, bytes: number): void {
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
      // no thread to be had: the next one tries anew
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
    const died = new Fault("busy", "The body could not be read: the thread that read it ended; ask again.");
    worker.on("messageerror", () => this.#settle(died));
    // out of memory, most likely: `exit` follows each `error`
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
    // its `exit` settles what it was reading
    worker?.terminate().catch(() => undefined);
  }
}

/** A buffer that shares its memory with others cannot be handed to another thread. */
function ownMemory(body: Buffer): Uint8Array<ArrayBuffer> {
  const { buffer, byteOffset, byteLength } = body;
  return buffer instanceof ArrayBuffer && byteLength === buffer.byteLength
    ? new Uint8Array(buffer, byteOffset, byteLength)
    : Uint8Array.from(body);
}

function busy(whose: string, value: number, accepted: number): Fault {
  return new Fault(
    "busy",
    `Large bodies of ${whose} hold ${value} bytes already; accepted: at most ${accepted} at once. Ask again.`,
    { details: { field: "body", value, accepted } },
  );
}
