/** Berth as its users run it: a process of its own, spoken to over HTTP alone, killed as rudely as a test likes. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { readEvents, type ServerEvent } from "../../../src/cli/event-stream.ts";

export const BERTH_MAIN = join(import.meta.dirname, "../../../src/main.ts");
/** On a machine whose processors are all taken. */
const START_MS_MAX = 180_000;
const LAST_WORDS_MAX = 4_000;

/** The HTTP API, wherever it is served. */
export interface BerthDoor {
  readonly url: string;
  readonly adminKey: string;
  /** Sends a request with the admin key (or another); the body is JSON unless it is bytes. */
  request(method: string, path: string, options?: RequestOptions): Promise<Response>;
  /** The same, parsed; throws with the answer's text when its status is another. */
  json<T = Readonly<Record<string, unknown>>>(
    status: number,
    method: string,
    path: string,
    options?: RequestOptions,
  ): Promise<T>;
  events(path: string, options?: RequestOptions & { method?: string }): AsyncGenerator<ServerEvent>;
}

export interface BerthProcess extends BerthDoor, AsyncDisposable {
  readonly pid: number;
  readonly log: readonly Readonly<Record<string, unknown>>[];
  /** Resolves when it has ended, however that came. */
  readonly ended: Promise<{ code: number | null; signal: string | null }>;
  /** Ends it with the signal and waits until it is gone. */
  kill(signal: "SIGTERM" | "SIGKILL"): Promise<{ code: number | null; signal: string | null }>;
}

export interface RequestOptions {
  readonly body?: unknown;
  readonly key?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** A data folder that is gone with the test. Its name is short: sockets in it have 107 bytes in all. */
export async function makeDataFolder(): Promise<AsyncDisposable & { path: string }> {
  const path = await mkdtemp(join(tmpdir(), "berth-"));
  return { path, [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true, maxRetries: 3 }) };
}

/** Resolves when it listens; rejects with its output when it ends before. Disposing it kills it. */
export async function startBerth(
  env: Readonly<Record<string, string>>,
  command = ["serve"],
): Promise<BerthProcess> {
  const child = spawn(process.execPath, [BERTH_MAIN, ...command], {
    // A start that looks into an engine is for the test of that.
    env: { ...inherited(), BERTH_PORT: "0", BERTH_DOCTOR: "off", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const ended = once(child, "exit").then(([code, signal]) => ({ code, signal }));
  const log: Record<string, unknown>[] = [];
  const last = lastWords(child);
  const url = await listening(child, { log, ended, last }).catch((error: unknown) => {
    child.kill("SIGKILL");
    throw error;
  });
  // A worker has no door that takes one.
  const adminKey =
    command[0] === "worker"
      ? ""
      : (env["BERTH_ADMIN_KEY"] ?? (await readAdminKey(env["BERTH_DATA"] ?? "data")));
  return new RunningProcess({ child, door: new HttpDoor({ url, adminKey }), log, ended });
}

async function readAdminKey(dataFolder: string): Promise<string> {
  return (await readFile(join(dataFolder, "admin-key"), "utf8")).trim();
}

interface Started {
  readonly child: ChildProcess;
  readonly door: BerthDoor;
  readonly log: Record<string, unknown>[];
  readonly ended: Promise<{ code: number | null; signal: string | null }>;
}

class RunningProcess implements BerthProcess {
  readonly #started: Started;

  constructor(started: Started) {
    this.#started = started;
  }

  get url(): string {
    return this.#started.door.url;
  }
  get ended(): Started["ended"] {
    return this.#started.ended;
  }
  get pid(): number {
    return this.#started.child.pid ?? 0;
  }
  get adminKey(): string {
    return this.#started.door.adminKey;
  }
  get log(): readonly Record<string, unknown>[] {
    return this.#started.log;
  }

  async kill(signal: "SIGTERM" | "SIGKILL"): Promise<{ code: number | null; signal: string | null }> {
    this.#started.child.kill(signal);
    return this.#started.ended;
  }

  request(method: string, path: string, options: RequestOptions = {}): Promise<Response> {
    return this.#started.door.request(method, path, options);
  }

  json<T>(status: number, method: string, path: string, options: RequestOptions = {}): Promise<T> {
    return this.#started.door.json(status, method, path, options);
  }

  events(path: string, options: RequestOptions & { method?: string } = {}): AsyncGenerator<ServerEvent> {
    return this.#started.door.events(path, options);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#started.child.exitCode === null && this.#started.child.signalCode === null)
      await this.kill("SIGKILL");
  }
}

export class HttpDoor implements BerthDoor {
  readonly url: string;
  readonly adminKey: string;

  constructor({ url, adminKey }: { readonly url: string; readonly adminKey: string }) {
    this.url = url;
    this.adminKey = adminKey;
  }

  request(
    method: string,
    path: string,
    { body, key, headers, signal }: RequestOptions = {},
  ): Promise<Response> {
    const bytes = body instanceof Uint8Array || typeof body === "string";
    return fetch(new URL(path, this.url), {
      method,
      headers: {
        authorization: `Bearer ${key ?? this.adminKey}`,
        ...(body === undefined
          ? {}
          : { "content-type": bytes ? "application/octet-stream" : "application/json" }),
        ...headers,
      },
      ...(body === undefined
        ? {}
        : {
            body:
              body instanceof Uint8Array ? Buffer.from(body) : bytes ? String(body) : JSON.stringify(body),
          }),
      ...(signal === undefined ? {} : { signal }),
    });
  }

  async json<T>(status: number, method: string, path: string, options: RequestOptions = {}): Promise<T> {
    const headers = { accept: "application/json", ...options.headers };
    const response = await this.request(method, path, { ...options, headers });
    const text = await response.text();
    if (response.status !== status)
      throw new Error(`${method} ${path}: ${response.status} instead of ${status}: ${text}`);
    return JSON.parse(text);
  }

  async *events(
    path: string,
    options: RequestOptions & { method?: string } = {},
  ): AsyncGenerator<ServerEvent> {
    const headers = { accept: "text/event-stream", ...options.headers };
    const response = await this.request(options.method ?? "GET", path, { ...options, headers });
    if (!response.ok) throw new Error(`${path}: ${response.status}: ${await response.text()}`);
    yield* readEvents(response);
  }
}

/** What a child may know of the test's own environment: no setting of Berth, no address of a server, no word to Node. */
export function inherited(): Record<string, string> {
  const withheld = ["DATABASE_URL", "REDIS_URL", "NODE_USE_ENV_PROXY"];
  const kept = Object.entries(process.env).filter(
    ([name]) => !name.startsWith("BERTH_") && !withheld.includes(name),
  );
  return Object.fromEntries(kept.map(([name, value]) => [name, value ?? ""]));
}

/** What it wrote to its standard error, once that is closed; passed on at once, too. */
async function lastWords(child: ChildProcess): Promise<string> {
  let text = "";
  for await (const chunk of child.stderr ?? []) {
    process.stderr.write(chunk);
    text = `${text}${chunk}`.slice(-LAST_WORDS_MAX);
  }
  return text;
}

function listening(
  child: ChildProcess,
  { log, ended, last }: { log: Record<string, unknown>[]; ended: Started["ended"]; last: Promise<string> },
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const timer = setTimeout(
    () => reject(new Error(`Berth did not listen within ${START_MS_MAX} ms: ${tail(log)}`)),
    START_MS_MAX,
  );
  if (child.stdout !== null) {
    createInterface(child.stdout).on("line", (line) => {
      const entry = line.startsWith("{") ? JSON.parse(line) : { line };
      log.push(entry);
      if (entry.op === "http.listen") resolve(entry.url);
    });
  }
  Promise.all([ended, last]).then(
    ([{ code, signal }, words]) =>
      reject(new Error(`Berth ended (${code ?? signal}) before it listened: ${words}\n${tail(log)}`)),
    reject,
  );
  return promise.finally(() => clearTimeout(timer));
}

function tail(log: readonly object[]): string {
  return JSON.stringify(log.slice(-10), null, 1);
}
