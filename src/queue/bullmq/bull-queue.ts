/**
 * The Queue contract on BullMQ: one BullMQ queue per kind of job, one connection for handing jobs over that fails
 * fast, one pair for publish and subscribe. Names carry the instance id, so that several Berths may share a Redis.
 */
import { Queue as Bull, Worker } from "bullmq";
import { Redis } from "ioredis";
import { Fault } from "../../domain/fault.ts";
import type { Log } from "../../observe/log.ts";
import { Scope } from "../../util/scope.ts";
import { JOBS, type JobName, type JobPayload, parsePayload } from "../jobs.ts";
import type { JobHandlers, Queue } from "../queue.ts";

export interface BullQueueOptions {
  /** `{ socketPath }` of the embedded server or the URL of another (`redis://`, `rediss://`, `unix://`). */
  readonly redis: { readonly socketPath: string } | { readonly url: string };
  readonly instanceId: string;
  readonly enqueueTimeoutMs: number;
  /** How long a job of a worker that is gone stays taken. */
  readonly lockMs: number;
  readonly log: Log;
}

type Bulls = { readonly [N in JobName]: Bull };

interface RunningWorker {
  readonly worker: Worker;
  readonly stop: AbortController;
  readonly running: ReadonlySet<Promise<void>>;
  /** Its connections: ours and those that the library duplicates from it. */
  readonly clients: readonly Redis[];
}

/** Resolves at once: a Redis that does not answer yet is waited for in the background. */
export function openBullQueue(options: BullQueueOptions): Queue {
  return new BullQueue(options);
}

class BullQueue implements Queue {
  readonly #options: BullQueueOptions;
  readonly #scope = new Scope();
  readonly #bulls: Bulls;
  readonly #commands: Redis;
  readonly #messages: Redis;
  readonly #listeners = new Map<string, Set<(message: string) => void>>();
  readonly #onReconnect: (() => void)[] = [];
  #seenReady = false;
  #outageLogged = false;

  constructor(options: BullQueueOptions) {
    this.#options = options;
    this.#commands = this.#connect({ enableOfflineQueue: false, maxRetriesPerRequest: 0 });
    this.#messages = this.#connect({ maxRetriesPerRequest: null });
    this.#commands.on("ready", () => this.#ready());
    this.#commands.on("error", (error: Error) => this.#outage(error));
    this.#messages.on("message", (channel: string, message: string) => {
      for (const listener of this.#listeners.get(channel) ?? []) listener(message);
    });
    this.#bulls = { "task.run": this.#openBull("task.run") };
  }

  async ping(): Promise<void> {
    await this.#inTime(this.#commands.ping());
  }

  async enqueue<N extends JobName>(name: N, payload: JobPayload<N>): Promise<void> {
    const id = JOBS[name].dedupeKey(payload);
    // The library waits for a connection; the caller does not. A job that is handed over late does no harm.
    const handed = this.#bulls[name].add(name, payload, { deduplication: { id } });
    await this.#inTime(handed);
  }

  async work(handlers: JobHandlers): Promise<AsyncDisposable> {
    const workers = (Object.keys(JOBS) as JobName[]).map((name) => this.#startWorker(name, handlers));
    const stop = async () => {
      for (const worker of workers) worker.stop.abort(new Fault("shutting_down", "Berth is stopping."));
      await Promise.all(workers.map((worker) => this.#stopWorker(worker)));
    };
    const once = new Scope();
    once.add(stop);
    this.#scope.use(once);
    return once;
  }

  onReconnect(listener: () => void): void {
    this.#onReconnect.push(listener);
  }

  async publish(topic: string, message: string): Promise<void> {
    await this.#inTime(this.#commands.publish(this.#channel(topic), message));
  }

  async subscribe(topic: string, listener: (message: string) => void): Promise<AsyncDisposable> {
    const channel = this.#channel(topic);
    const listeners = this.#listeners.get(channel) ?? new Set();
    this.#listeners.set(channel, listeners.add(listener));
    // Not awaited: without a connection this stands in the client's queue, and it is repeated after each loss.
    this.#messages.subscribe(channel).catch(() => undefined);
    return {
      [Symbol.asyncDispose]: async () => {
        listeners.delete(listener);
      },
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scope.close();
    await Promise.all(Object.values(this.#bulls).map((bull) => bull.close().catch(() => undefined)));
    this.#commands.disconnect();
    this.#messages.disconnect();
  }

  /** The library's close waits for its connections without limit: it gets a moment, then they are taken from it. */
  async #stopWorker({ worker, running, clients }: RunningWorker): Promise<void> {
    await Promise.allSettled(running);
    const closed = worker.close().catch(() => undefined);
    await this.#inTime(closed).catch(() => undefined);
    for (const client of clients) client.disconnect();
  }

  #startWorker<N extends JobName>(name: N, handlers: JobHandlers): RunningWorker {
    const stop = new AbortController();
    const running = new Set<Promise<void>>();
    const clients: Redis[] = [];
    const handle = handlers[name];
    const worker = new Worker(
      this.#queueName(name),
      async (job, _token, signal) => {
        const signals = signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal]);
        const work = handle(parsePayload(name, job.data), signals);
        running.add(work);
        await work.finally(() => running.delete(work));
      },
      {
        connection: this.#connect({ maxRetriesPerRequest: null }, clients),
        concurrency: JOBS[name].concurrency,
        lockDuration: this.#options.lockMs,
        stalledInterval: this.#options.lockMs,
        maxStalledCount: 1000,
        removeOnComplete: { count: 0 },
        removeOnFail: { count: 0 },
      },
    );
    worker.on("error", (error) => this.#outage(error));
    worker.on("failed", (job, error) => {
      this.#options.log.error({ op: "job.run", ok: false, job: name, payload: job?.data, err: error });
    });
    return { worker, stop, running, clients };
  }

  #openBull(name: JobName): Bull {
    const bull = new Bull(this.#queueName(name), {
      connection: this.#commands,
      defaultJobOptions: { removeOnComplete: true, removeOnFail: true, attempts: 1 },
    });
    bull.on("error", (error) => this.#outage(error));
    return bull;
  }

  async #inTime<T>(work: Promise<T>): Promise<T> {
    const { promise: late, reject } = Promise.withResolvers<never>();
    const { enqueueTimeoutMs } = this.#options;
    const timer = setTimeout(
      () => reject(new Error(`no answer within ${enqueueTimeoutMs} ms`)),
      enqueueTimeoutMs,
    );
    try {
      return await Promise.race([work, late]);
    } catch (cause) {
      work.catch(() => undefined);
      throw new Fault("queue_unavailable", "The queue does not answer now.", { cause });
    } finally {
      clearTimeout(timer);
    }
  }

  #ready(): void {
    if (this.#outageLogged) this.#options.log.info({ op: "queue.connect" }, "the queue answers again");
    this.#outageLogged = false;
    if (this.#seenReady) for (const listener of this.#onReconnect) listener();
    this.#seenReady = true;
  }

  /** Every connection reports the same outage, again and again; it is logged once. */
  #outage(error: Error): void {
    if (this.#outageLogged || this.#scope.signal.aborted) return;
    this.#outageLogged = true;
    this.#options.log.warn(
      { op: "queue.connect", ok: false, err: error },
      "the queue does not answer; it is tried again",
    );
  }

  #queueName(name: JobName): string {
    return `berth-${this.#options.instanceId}-${name}`;
  }

  #channel(topic: string): string {
    return `berth-${this.#options.instanceId}-${topic}`;
  }

  /** Opens a connection; with `clients`, it and every duplicate of it are noted there. */
  #connect(behaviour: Behaviour, clients?: Redis[]): Redis {
    const { redis } = this.#options;
    const client =
      "socketPath" in redis
        ? new Redis({ path: redis.socketPath, retryStrategy, ...behaviour })
        : new Redis(redis.url, { retryStrategy, ...behaviour });
    return clients === undefined ? quiet(client) : note(client, clients);
  }
}

function quiet(client: Redis): Redis {
  return client.on("error", () => undefined);
}

function note(client: Redis, clients: Redis[]): Redis {
  const duplicate = client.duplicate.bind(client);
  client.duplicate = (override) => note(duplicate(override), clients);
  clients.push(quiet(client));
  return client;
}

interface Behaviour {
  readonly enableOfflineQueue?: boolean;
  readonly maxRetriesPerRequest: number | null;
}

/** Never gives up: a Redis that is gone for an hour is used again when it is back. */
function retryStrategy(times: number): number {
  return Math.min(50 * times, 2000);
}
