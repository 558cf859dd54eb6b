/** A Redis, or a Sentinel, of a test's own, that it may stop, kill and start again. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Redis, type RedisOptions } from "ioredis";
import type { Certificate } from "./authority.ts";
import { freePort } from "./free-port.ts";

const REDIS = "redis-server";

export interface RedisServerOptions {
  /** Lines of its configuration beside ports, TLS and folder. */
  readonly settings?: readonly string[];
  /** `port` speaks TLS with it; without one it is plain text. */
  readonly tls?: { readonly certificate: Certificate; readonly caFile: string };
  /** Besides TLS, a port for plain text: `plainPort`. */
  readonly alsoPlain?: boolean;
  readonly kind?: "server" | "sentinel";
  /** How the test itself gets in. */
  readonly login?: Pick<RedisOptions, "username" | "password">;
}

export interface RedisServer extends AsyncDisposable {
  readonly port: number;
  readonly plainPort: number;
  readonly socketPath: string;
  start(): Promise<void>;
  signal(name: "SIGTERM" | "SIGKILL" | "SIGSTOP" | "SIGCONT"): Promise<void>;
  /** Over the socket, on a connection of its own. */
  ask(...command: readonly [string, ...string[]]): Promise<unknown>;
}

/** It is set up and not started. */
export async function makeRedisServer(options: RedisServerOptions = {}): Promise<RedisServer> {
  const folder = await mkdtemp(join(tmpdir(), "berth-redis-"));
  return new RealServer({ ...options, folder, port: await freePort(), plainPort: await freePort() });
}

class RealServer implements RedisServer {
  readonly #options: RedisServerOptions & { folder: string; port: number; plainPort: number };
  #child: ChildProcess | undefined;

  constructor(options: RedisServerOptions & { folder: string; port: number; plainPort: number }) {
    this.#options = options;
  }

  get port(): number {
    return this.#options.port;
  }
  get plainPort(): number {
    return this.#options.plainPort;
  }
  get socketPath(): string {
    return join(this.#options.folder, "redis.sock");
  }

  async start(): Promise<void> {
    const { folder, kind = "server" } = this.#options;
    const file = join(folder, "redis.conf");
    // A Sentinel writes what it has learnt into its file; a start here is a start from nothing.
    await writeFile(file, `${this.#lines().join("\n")}\n`);
    const child = spawn(REDIS, [file, ...(kind === "sentinel" ? ["--sentinel"] : [])], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    this.#child = child;
    await new Promise<void>((resolve, reject) => {
      let said = "";
      child.once("error", reject);
      child.once("exit", (code) => reject(new Error(`redis-server ended (${code}) at its start: ${said}`)));
      child.stdout.on("data", (chunk) => {
        said = `${said}${chunk}`.slice(-8000);
        if (/Ready to accept connections|Sentinel ID is|ready to accept connections at/.test(said)) resolve();
      });
    });
  }

  #lines(): readonly string[] {
    const { folder, port, plainPort, tls, alsoPlain, settings = [] } = this.#options;
    const ports =
      tls === undefined
        ? [`port ${port}`]
        : [
            ...[
              `port ${alsoPlain ? plainPort : 0}`,
              `tls-port ${port}`,
              "tls-auth-clients no",
              "tls-replication yes",
            ],
            `tls-cert-file ${tls.certificate.certFile}`,
            ...[`tls-key-file ${tls.certificate.keyFile}`, `tls-ca-cert-file ${tls.caFile}`],
          ];
    return [...ports, "bind 127.0.0.1", `dir ${folder}`, `unixsocket ${this.socketPath}`, ...settings];
  }

  async signal(name: "SIGTERM" | "SIGKILL" | "SIGSTOP" | "SIGCONT"): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    const exited = once(child, "exit");
    child.kill(name);
    if (name === "SIGSTOP" || name === "SIGCONT") return;
    this.#child = undefined;
    await exited;
  }

  async ask(...[command, ...args]: readonly [string, ...string[]]): Promise<unknown> {
    const client = new Redis({ path: this.socketPath, lazyConnect: true, ...this.#options.login });
    client.on("error", () => undefined);
    try {
      await client.connect();
      return await client.call(command, ...args);
    } finally {
      client.disconnect();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child?.kill("SIGCONT");
    await this.signal("SIGKILL");
    await rm(this.#options.folder, { recursive: true, force: true });
  }
}
