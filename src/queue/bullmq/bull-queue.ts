/**
 * The Queue contract on BullMQ: one BullMQ queue per kind of job, one connection for handing jobs over and publishing
 * that fails fast, one that listens, and two more per kind of job where it is worked on. Names carry the instance id,
 * so that several Berths may share a Redis.
 */
import { Queue as Bull, Worker } from "bullmq";
import { Redis } from "ioredis";
import { Fault } from "../../domain/fault.ts";
import type { Log } from "../../observe/log.ts";
import { repeat, systemClock } from "../../util/clock.ts";
import { Deadline } from "../../util/deadline.ts";
import { Scope } from "../../util/scope.ts";
import { waitOrAbort } from "../../util/wait.ts";
import { JOBS, type JobName, type JobPayload, parsePayload } from "../jobs.ts";
import type { JobHandlers, Queue } from "../queue.ts";
import { evictionProblem, parseInfo } from "./redis-server.ts";
import { embeddedRedis, type RedisOptions, type RedisServer } from "./redis-url.ts";

export interface BullQueueOptions {
  /** The socket of the embedded server, or another that was reached. */
  readonly redis: { readonly socketPath: string } | RedisServer;
  readonly instanceId: string;
  readonly enqueueTimeoutMs: number;
  /** How long a job of a worker that is gone stays taken. */
  readonly lockMs: number;
  /** What the server shows of our connections. */
  readonly connectionName?: string | undefined;
  /**
   * A server that owes an answer for so long is taken for gone, because a network may drop a connection without a
   * word; a worker notices in twice the time. Unset, 10 s.
   */
  readonly silenceMs?: number | undefined;
  readonly log: Log;
}

const SILENCE_MS = 10_000;
const KEEP_ALIVE_MS = 10_000;
const CONNECT_MS = 5000;

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
  readonly #redis: RedisServer;
  readonly #silenceMs: number;
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
    const { redis } = options;
    this.#redis = "socketPath" in redis ? embeddedRedis(redis.socketPath) : redis;
    this.#silenceMs = options.silenceMs ?? SILENCE_MS;
    this.#commands = this.#connect({
      ...{ enableOfflineQueue: false, maxRetriesPerRequest: 0, socketTimeout: this.#silenceMs },
    });
    this.#messages = this.#connect({ maxRetriesPerRequest: null, socketTimeout: this.#silenceMs });
    this.#commands.on("ready", () => this.#ready());
    this.#commands.on("error", (error: Error) => this.#outage(error));
    this.#messages.on("message", (channel: string, message: string) => {
      for (const listener of this.#listeners.get(channel) ?? []) this.#tell(listener, channel, message);
    });
    this.#bulls = { "task.run": this.#openBull("task.run") };
    const beat = repeat(
      { clock: systemClock, everyMs: this.#silenceMs / 2 },
      () => this.#beat(),
      this.#scope.signal,
    );
    this.#scope.add(() => beat);
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
        if (!listeners.delete(listener) || listeners.size > 0) return;
        // One that came after these were all gone has made a set of its own, and is to go on hearing.
        if (this.#listeners.get(channel) !== listeners) return;
        this.#listeners.delete(channel);
        this.#messages.unsubscribe(channel).catch(() => undefined);
      },
    };
  }

  /** What a listener throws is its own failure: the others hear the message, and the connection goes on. */
  #tell(listener: (message: string) => void, channel: string, message: string): void {
    try {
      listener(message);
    } catch (error) {
      this.#options.log.error({ op: "queue.message", ok: false, channel, err: error });
    }
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
        connection: this.#connect(
          { maxRetriesPerRequest: null, socketTimeout: 2 * this.#silenceMs },
          clients,
        ),
        concurrency: JOBS[name].concurrency,
        lockDuration: this.#options.lockMs,
        stalledInterval: this.#options.lockMs,
        maxStalledCount: 1000,
        // After a failure of the connection; the library's own 15 s would outlast most failovers.
        runRetryDelay: 1000,
        // Seconds that the request for the next job stays open: well within what is taken for silence.
        drainDelay: Math.max(1, Math.round(this.#silenceMs / 2000)),
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
    const ms = this.#options.enqueueTimeoutMs;
    const late = () => new Error(`no answer within ${ms} ms`);
    using deadline = new Deadline({ clock: systemClock, ms, late });
    try {
      return await waitOrAbort(work, deadline.signal);
    } catch (cause) {
      throw new Fault("queue_unavailable", "The queue does not answer now.", { cause });
    }
  }

  /** A silent connection is noticed only by asking: then it is cut, and made anew. */
  async #beat(): Promise<void> {
    for (const client of [this.#commands, this.#messages])
      if (client.status === "ready") client.ping().catch(() => undefined);
  }

  /** Settings may have changed while the server was away, or it is another server now. */
  async #lookAgain(): Promise<void> {
    const problem = evictionProblem(parseInfo(await this.#commands.info()));
    if (problem !== undefined)
      this.#options.log.warn({ op: "queue.connect", ok: false }, `${this.#redis.name} ${problem}`);
  }

  #ready(): void {
    this.#lookAgain().catch(() => undefined);
    if (this.#outageLogged)
      this.#options.log.info({ op: "queue.connect" }, `${this.#redis.name} answers again`);
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
      `${this.#redis.name} does not answer; it is tried again`,
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
    const { connectionName } = this.#options;
    const client = new Redis({
      ...this.#redis.options,
      ...{ retryStrategy, reconnectOnError, keepAlive: KEEP_ALIVE_MS },
      ...{ connectTimeout: CONNECT_MS, sentinelCommandTimeout: CONNECT_MS },
      ...(connectionName === undefined ? {} : { connectionName }),
      ...behaviour,
    });
    return clients === undefined ? quiet(client) : note(client, clients);
  }
}

function quiet(client: Redis): Redis {
  return client.on("error", () => undefined);
}

function note(client: Redis, clients: Redis[]): Redis {
  const duplicate = client.duplicate.bind(client);
  const { connectionName } = client.options;
  client.duplicate = (override) => {
    const copy = duplicate(override);
    // The library gives it a name of its own; the name is sent when the connection stands.
    Object.assign(copy.options, { connectionName });
    return note(copy, clients);
  };
  clients.push(quiet(client));
  return client;
}

type Behaviour = Pick<RedisOptions, "enableOfflineQueue" | "maxRetriesPerRequest" | "socketTimeout">;

/** Never gives up: a Redis that is gone for an hour is used again when it is back. */
function retryStrategy(times: number): number {
  return Math.min(50 * times, 2000);
}

/** What was the master has become a replica: whoever finds the server anew finds another one. */
function reconnectOnError(error: Error): boolean {
  return /\bREADONLY\b/.test(error.message);
}
