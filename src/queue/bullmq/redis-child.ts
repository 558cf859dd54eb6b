/**
 * The embedded Redis: a `redis-server` child with its files and Unix socket in the data folder. It opens no TCP port,
 * ends with this process (also when that is killed), and restarts with back-off when it ends alone.
 *
 * Redis does not lock its files, so two servers on one folder would ruin them: before each start the keeper connects to
 * the socket. A server that still answers there is adopted if its folder is ours, else the start is refused.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdir, realpath } from "node:fs/promises";
import { join } from "node:path";
import { Redis } from "ioredis";
import { Fault } from "../../domain/fault.ts";
import type { Log } from "../../observe/log.ts";
import { backoffMs } from "../../util/backoff.ts";
import { type Clock, systemClock } from "../../util/clock.ts";
import { Scope } from "../../util/scope.ts";

/** Bytes that fit into the address of a Unix socket, without the terminating zero. */
const SOCKET_PATH_BYTES_MAX = 107;

export interface RedisChildOptions {
  readonly folder: string;
  readonly log: Log;
  readonly startTimeoutMs: number;
  readonly clock?: Clock;
}

export interface RedisChild extends AsyncDisposable {
  readonly socketPath: string;
  /** Process id of the running child; undefined between two children, and for an adopted server. */
  readonly pid: number | undefined;
}

/** Resolves when the server answers. Throws `queue_unavailable`, with the reason, where it does not within `startTimeoutMs`. */
export async function startRedisChild(options: RedisChildOptions): Promise<RedisChild> {
  await mkdir(options.folder, { recursive: true, mode: 0o700 });
  const folder = await realpath(options.folder);
  const socketPath = join(folder, "redis.sock");
  if (Buffer.byteLength(socketPath) > SOCKET_PATH_BYTES_MAX) {
    throw new Fault(
      "socket_path_too_long",
      `The Redis socket ${socketPath} has ${Buffer.byteLength(socketPath)} bytes, ${SOCKET_PATH_BYTES_MAX} fit; choose a shorter BERTH_DATA or set REDIS_URL.`,
    );
  }
  const keeper = new RedisKeeper({ ...options, folder, socketPath });
  await keeper.start();
  return keeper;
}

/** A server that answers; `ended` resolves with how it ended, never rejects. */
interface RunningServer {
  readonly ended: Promise<string>;
}

class RedisKeeper implements RedisChild {
  readonly socketPath: string;
  readonly #options: RedisChildOptions;
  readonly #clock: Clock;
  readonly #scope = new Scope();
  #child: ChildProcess | undefined;
  #loop: Promise<void> | undefined;

  constructor(options: RedisChildOptions & { socketPath: string }) {
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.socketPath = options.socketPath;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  async start(): Promise<void> {
    const server = await this.#bringUp();
    this.#loop = this.#keep(server);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#scope.close();
    if (this.#child === undefined)
      await withClient(this.socketPath, (client) => client.shutdown()).catch(() => undefined);
    else this.#child.kill("SIGTERM");
    await this.#loop;
  }

  /** Waits for the end of the server and starts the next one, until disposed. */
  async #keep(first: RunningServer): Promise<void> {
    let server: RunningServer | undefined = first;
    let failures = 0;
    while (true) {
      const startedAt = this.#clock.now();
      const how = await server?.ended;
      if (this.#scope.signal.aborted) return;
      if (how !== undefined) this.#options.log.error({ op: "redis.exit", how }, "the embedded Redis ended");
      failures = this.#clock.now() - startedAt > 60_000 ? 1 : failures + 1;
      const delayMs = backoffMs(failures, { firstMs: 200, maxMs: 30_000 });
      const goOn = await this.#clock.sleep(delayMs, this.#scope.signal).then(
        () => true,
        () => false,
      );
      if (!goOn) return;
      server = await this.#bringUp().catch((error: unknown) => {
        this.#options.log.error({ op: "redis.start", err: error }, "the embedded Redis did not start");
        return undefined;
      });
    }
  }

  async #bringUp(): Promise<RunningServer> {
    this.#child = undefined;
    const dir = await folderOf(this.socketPath);
    if (dir === undefined) return this.#spawn();
    if (dir === this.#options.folder) return this.#adopt();
    throw new Fault(
      "queue_unavailable",
      `Another Redis, whose folder is ${dir}, answers on ${this.socketPath}; stop it or choose another BERTH_DATA.`,
    );
  }

  /** A server that has outlived its Berth: its end shows as the end of a connection. */
  #adopt(): RunningServer {
    this.#options.log.warn(
      { op: "redis.adopt", socket: this.socketPath },
      "the embedded Redis was still running; adopted it",
    );
    const client = connect(this.socketPath);
    const ended = new Promise<string>((resolve) => {
      client.on("close", () => resolve("the adopted server closed its connection"));
    });
    client.connect().catch(() => undefined);
    return { ended: ended.finally(() => client.disconnect()) };
  }

  async #spawn(): Promise<RunningServer> {
    // A plain child survives `kill -9` of its parent; with the parent-death signal it stops as if it was told to.
    const child = spawn(
      "setpriv",
      ["--pdeathsig", "TERM", "redis-server", ...settings(this.#options.folder, this.socketPath)],
      {
        stdio: ["ignore", "pipe", "pipe"],
      },
    );
    this.#child = child;
    const output: string[] = [];
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => {
        output.push(text);
        if (output.length > 50) output.shift();
      });
    }
    const ended = new Promise<string>((resolve) => {
      child.once("error", (error) => resolve(`it could not be run: ${error.message}`));
      child.once("exit", (code, signal) => resolve(`exit ${code ?? signal}`));
    });
    const failed = ended.then((how) => {
      throw new Fault(
        "queue_unavailable",
        `The embedded Redis did not start (${how}). Install redis-server, or set REDIS_URL.`,
        {
          context: { output: output.join("").slice(-4000) },
        },
      );
    });
    try {
      await Promise.race([failed, this.#answers(child)]);
    } catch (failure) {
      child.kill("SIGKILL");
      throw failure;
    } finally {
      failed.catch(() => undefined);
    }
    return { ended };
  }

  async #answers(child: ChildProcess): Promise<void> {
    const deadline = this.#clock.now() + this.#options.startTimeoutMs;
    while (child.exitCode === null && child.signalCode === null) {
      if ((await folderOf(this.socketPath)) !== undefined) return;
      if (this.#clock.now() > deadline) {
        throw new Fault(
          "queue_unavailable",
          `The embedded Redis did not answer within ${this.#options.startTimeoutMs} ms.`,
        );
      }
      await this.#clock.sleep(20, this.#scope.signal);
    }
  }
}

function settings(folder: string, socketPath: string): string[] {
  const values = {
    port: "0",
    unixsocket: socketPath,
    unixsocketperm: "700",
    dir: folder,
    appendonly: "yes",
    appendfsync: "everysec",
    save: "",
    "maxmemory-policy": "noeviction",
    daemonize: "no",
    loglevel: "notice",
  };
  return Object.entries(values).flatMap(([name, value]) => [`--${name}`, value]);
}

function connect(path: string): Redis {
  const client = new Redis({
    path,
    lazyConnect: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    connectTimeout: 1000,
  });
  client.on("error", () => undefined);
  return client;
}

async function withClient<T>(path: string, ask: (client: Redis) => Promise<T>): Promise<T> {
  const client = connect(path);
  try {
    await client.connect();
    return await ask(client);
  } finally {
    client.disconnect();
  }
}

/** Folder of the server behind the socket; undefined where none answers. */
async function folderOf(socketPath: string): Promise<string | undefined> {
  try {
    const answer = await withClient(socketPath, (client) => client.config("GET", "dir"));
    const dir = Array.isArray(answer) ? answer[1] : undefined;
    return typeof dir === "string" ? dir : undefined;
  } catch {
    return undefined;
  }
}
