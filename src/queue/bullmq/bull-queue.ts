/**
 * The queue contract on BullMQ: one BullMQ queue per kind of job, one connection that enqueues and publishes and fails
 * fast, one that subscribes, and in workers two more per kind of job. Names contain the instance id, so that several
 * Berths may share a Redis.
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
  /** The socket of the embedded server, or a server that `reachRedis` resolved with. */
  readonly redis: { readonly socketPath: string } | RedisServer;
  readonly instanceId: string;
  readonly enqueueTimeoutMs: number;
  /** How long a job of a dead worker stays locked. */
  readonly lockMs: number;
  /** Name of our connections on the server. */
  readonly connectionName?: string | undefined;
  /**
   * A connection without an answer for this time is closed, because a network may drop it silently; a worker notices after
   * twice the time. Unset, 10 s.
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
  /** Its connections: ours, and the duplicates that the library makes of it. */
  readonly clients: readonly Redis[];
}

/** Returns at once: it connects in the background, and waits for a Redis that does not answer yet. */
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
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      socketTimeout: this.#silenceMs,
    });
    this.#messages = this.#connect({ maxRetriesPerRequest: null, socketTimeout: this.#silenceMs });
    this.#commands.on("ready", () => this.#ready());
    this.#commands.on("error", (error: Error) => this.#outage(error));
    this.#messages.on("message", (channel: string, message: string) => {
      for (const listener of this.#listeners.get(channel) ?? []) this.#notify(listener, channel, message);
    });
    this.#bulls = { "task.run": this.#openBull("task.run") };
    const pinging = repeat(
      { clock: systemClock, everyMs: this.#silenceMs / 2 },
      () => this.#pingAll(),
      this.#scope.signal,
    );
    this.#scope.add(() => pinging);
  }

  async ping(): Promise<void> {
    await this.#inTime(this.#commands.ping());
  }

  async enqueue<N extends JobName>(name: N, payload: JobPayload<N>): Promise<void> {
    const id = JOBS[name].dedupeKey(payload);
    // The library waits for a connection; the caller does not. A job that is enqueued late does no harm.
    const enqueued = this.#bulls[name].add(name, payload, { deduplication: { id } });
    await this.#inTime(enqueued);
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
    // Not awaited: without a connection the client queues it, and it repeats it after each loss.
    this.#messages.subscribe(channel).catch(() => undefined);
    return {
      [Symbol.asyncDispose]: async () => {
        if (!listeners.delete(listener) || listeners.size > 0) return;
        // A listener that came after all these were gone has a new set, and must stay subscribed.
        if (this.#listeners.get(channel) !== listeners) return;
        this.#listeners.delete(channel);
        this.#messages.unsubscribe(channel).catch(() => undefined);
      },
    };
  }

  /** An error of one listener is logged: the others still get the message, and the connection stays. */
  #notify(listener: (message: string) => void, channel: string, message: string): void {
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

  /** The library's close waits for its connections without limit: after `enqueueTimeoutMs` they are disconnected. */
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
        // Wait after a failure of the connection; the library's 15 s would outlast most failovers.
        runRetryDelay: 1000,
        // Seconds that the request for the next job stays open: well within the silence limit.
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
      throw new Fault("queue_unavailable", "The queue does not answer.", { cause });
    }
  }

  /** Only a request shows that a connection is dead; the client then closes it and connects again. */
  async #pingAll(): Promise<void> {
    for (const client of [this.#commands, this.#messages])
      if (client.status === "ready") client.ping().catch(() => undefined);
  }

  /** While the server was away its settings may have changed, or it may be another server now. */
  async #checkEviction(): Promise<void> {
    const problem = evictionProblem(parseInfo(await this.#commands.info()));
    if (problem !== undefined)
      this.#options.log.warn({ op: "queue.connect", ok: false }, `${this.#redis.name} ${problem}`);
  }

  #ready(): void {
    this.#checkEviction().catch(() => undefined);
    if (this.#outageLogged)
      this.#options.log.info({ op: "queue.connect" }, `${this.#redis.name} answers again`);
    this.#outageLogged = false;
    if (this.#seenReady) for (const listener of this.#onReconnect) listener();
    this.#seenReady = true;
  }

  /** Every connection reports the same outage repeatedly; it is logged once. */
  #outage(error: Error): void {
    if (this.#outageLogged || this.#scope.signal.aborted) return;
    this.#outageLogged = true;
    this.#options.log.warn(
      { op: "queue.connect", ok: false, err: error },
      `${this.#redis.name} does not answer; retrying`,
    );
  }

  #queueName(name: JobName): string {
    return `berth-${this.#options.instanceId}-${name}`;
  }

  #channel(topic: string): string {
    return `berth-${this.#options.instanceId}-${topic}`;
  }

  /** Opens a connection; with `clients`, adds it and each of its duplicates there. */
  #connect(behaviour: Behaviour, clients?: Redis[]): Redis {
    const { connectionName } = this.#options;
    const client = new Redis({
      ...this.#redis.options,
      retryStrategy,
      reconnectOnError,
      keepAlive: KEEP_ALIVE_MS,
      connectTimeout: CONNECT_MS,
      sentinelCommandTimeout: CONNECT_MS,
      ...(connectionName === undefined ? {} : { connectionName }),
      ...behaviour,
    });
    return clients === undefined ? quiet(client) : track(client, clients);
  }
}

function quiet(client: Redis): Redis {
  return client.on("error", () => undefined);
}

function track(client: Redis, clients: Redis[]): Redis {
  const duplicate = client.duplicate.bind(client);
  const { connectionName } = client.options;
  client.duplicate = (override) => {
    const copy = duplicate(override);
    // The library gives the duplicate another name; the name is sent once it is connected.
    Object.assign(copy.options, { connectionName });
    return track(copy, clients);
  };
  clients.push(quiet(client));
  return client;
}

type Behaviour = Pick<RedisOptions, "enableOfflineQueue" | "maxRetriesPerRequest" | "socketTimeout">;

/** Retries without end, at most 2 s apart: a Redis that was away for an hour is used again once it is back. */
function retryStrategy(times: number): number {
  return Math.min(50 * times, 2000);
}

/** Reconnects where the master has become a replica: the client then finds the new master. */
function reconnectOnError(error: Error): boolean {
  return /\bREADONLY\b/.test(error.message);
}
