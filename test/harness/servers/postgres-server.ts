/** A PostgreSQL on TCP with TLS and passwords, that a test may stop, kill and start again. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { chown, copyFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { Client } from "pg";
import type { Certificate } from "./authority.ts";
import { freePort } from "./free-port.ts";
import { findBinaries, ownerOfServer } from "./postgres.ts";

const run = promisify(execFile);

export interface PostgresServer extends AsyncDisposable {
  readonly port: number;
  readonly folder: string;
  start(): Promise<void>;
  /** `SIGINT`: open connections are ended; `SIGQUIT`: it dies at once, as in a crash; `SIGSTOP`, `SIGCONT`. */
  signal(name: "SIGINT" | "SIGQUIT" | "SIGSTOP" | "SIGCONT"): Promise<void>;
  /** As superuser, over the socket, without a password. */
  query(sql: string, database?: string): Promise<readonly Readonly<Record<string, unknown>>[]>;
}

export interface PostgresServerOptions {
  readonly certificate: Certificate;
}

/** It is set up and not started. TCP is for TLS and passwords only. */
export async function makePostgresServer({ certificate }: PostgresServerOptions): Promise<PostgresServer> {
  const bin = await findBinaries();
  const owner = await ownerOfServer();
  const folder = await mkdtemp(join(tmpdir(), "berth-pgs-"));
  if (owner !== undefined) await chown(folder, owner.uid, owner.gid);
  const data = join(folder, "data");
  await run(join(bin, "initdb"), ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "-N"], {
    ...owner,
    cwd: folder,
  });
  await writeFile(
    join(data, "pg_hba.conf"),
    "local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\nhostnossl all plain 127.0.0.1/32 scram-sha-256\n",
  );
  // The server wants its key for itself.
  for (const [from, to] of [
    [certificate.certFile, "server.crt"] as const,
    [certificate.keyFile, "server.key"] as const,
  ]) {
    await copyFile(from, join(data, to));
    await run("chmod", ["600", join(data, to)]);
    if (owner !== undefined) await chown(join(data, to), owner.uid, owner.gid);
  }
  return new RealServer({ bin, owner, folder, data, port: await freePort() });
}

interface Parts {
  readonly bin: string;
  readonly owner: { uid: number; gid: number } | undefined;
  readonly folder: string;
  readonly data: string;
  readonly port: number;
}

class RealServer implements PostgresServer {
  readonly #parts: Parts;
  #child: ChildProcess | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  get port(): number {
    return this.#parts.port;
  }
  get folder(): string {
    return this.#parts.folder;
  }

  async start(): Promise<void> {
    const { bin, owner, folder, data, port } = this.#parts;
    const settings = [
      ...["fsync=off", "listen_addresses=127.0.0.1", `port=${port}`, `unix_socket_directories=${folder}`],
      ...["ssl=on", "ssl_cert_file=server.crt", "ssl_key_file=server.key", "max_connections=60"],
      "password_encryption=scram-sha-256",
    ];
    const child = spawn(
      join(bin, "postgres"),
      ["-D", data, ...settings.flatMap((setting) => ["-c", setting])],
      {
        ...owner,
        cwd: folder,
        stdio: ["ignore", "ignore", "pipe"],
      },
    );
    this.#child = child;
    child.once("exit", () => {
      if (this.#child === child) this.#child = undefined;
    });
    await new Promise<void>((resolve, reject) => {
      let said = "";
      child.once("exit", (code) => reject(new Error(`postgres ended (${code}) at its start: ${said}`)));
      child.stderr
        .on("error", () => undefined)
        .on("data", (chunk) => {
          said = `${said}${chunk}`.slice(-4000);
          if (said.includes("ready to accept connections")) resolve();
        });
    });
  }

  async signal(name: "SIGINT" | "SIGQUIT" | "SIGSTOP" | "SIGCONT"): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    const exited = once(child, "exit");
    child.kill(name);
    if (name === "SIGSTOP" || name === "SIGCONT") return;
    this.#child = undefined;
    await exited;
  }

  async query(sql: string, database = "postgres"): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const { folder: host, port } = this.#parts;
    const client = new Client({ host, port, database, user: "postgres", application_name: "test" });
    await client.connect();
    try {
      return (await client.query(sql)).rows;
    } finally {
      await client.end();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#child?.kill("SIGCONT");
    await this.signal("SIGQUIT");
    await rm(this.#parts.folder, { recursive: true, force: true });
  }
}
