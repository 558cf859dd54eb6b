/**
 * A real S3 server of its own: Versity's gateway on a folder, built by `scripts/s3-server`, which `./dev test` calls. It
 * is killed and started again on its port as often as a test likes, and its objects are files that a test may damage.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { connect } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import {
  BUCKET_DEFAULTS,
  type BucketSettings,
  type CacheSettings,
} from "../../../src/storage/s3/settings.ts";
import { Scope } from "../../../src/util/scope.ts";
import { eventually } from "../clients/client.ts";
import { freePort } from "./free-port.ts";
import { makeFolder } from "./postgres.ts";

const BUILD = join(import.meta.dirname, "../../../scripts/s3-server");

/** Of the server's root user. */
export const S3_CREDENTIALS = { accessKeyId: "berth-tests", secretAccessKey: "a-secret-of-the-tests" };

export interface S3Server extends AsyncDisposable {
  readonly endpoint: string;
  /** Makes an empty bucket; its name. */
  createBucket(): Promise<string>;
  /** How the bucket is spoken to, with the clocks of a test. */
  settings(bucket: string): BucketSettings & CacheSettings;
  /** The file that holds an object. */
  fileOf(bucket: string, key: string): string;
  /** Removes an object behind the server's back. */
  removeObject(bucket: string, key: string): Promise<void>;
  /** Ends it as rudely as a power cut; its objects stay. */
  kill(): Promise<void>;
  /** Starts it again where it was, unless it runs. */
  start(): Promise<void>;
}

/** Speaks TLS with the certificate, where one is given. */
export async function startS3Server(tls?: { certFile: string; keyFile: string }): Promise<S3Server> {
  const { stdout } = await promisify(execFile)(BUILD, ["--path"]);
  const program = stdout.trim();
  if (!existsSync(program)) throw new Error(`there is no S3 server in ${program}: run ${BUILD}`);
  const scope = new Scope();
  const folder = scope.use(await makeFolder("s3")).path;
  for (const name of ["objects", "beside"]) await mkdir(join(folder, name));
  const port = await freePort();
  const server = new RunningServer({ program, folder, port, tls, scope });
  try {
    await server.start();
    return server;
  } catch (error) {
    await server[Symbol.asyncDispose]();
    throw error;
  }
}

interface Parts {
  readonly program: string;
  readonly folder: string;
  readonly port: number;
  readonly tls: { readonly certFile: string; readonly keyFile: string } | undefined;
  readonly scope: Scope;
}

class RunningServer implements S3Server {
  readonly #parts: Parts;
  #child: ChildProcess | undefined;
  #buckets = 0;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  get endpoint(): string {
    return `${this.#parts.tls === undefined ? "http" : "https"}://localhost:${this.#parts.port}`;
  }

  async createBucket(): Promise<string> {
    this.#buckets += 1;
    const name = `packages-${this.#buckets}`;
    // To this server a bucket is a folder.
    await mkdir(join(this.#parts.folder, "objects", name));
    return name;
  }

  settings(bucket: string): BucketSettings & CacheSettings {
    return {
      cacheBytesMax: 100_000_000,
      stagedAgeMaxMs: 60_000,
      openedAgeMaxMs: 60_000,
      ...BUCKET_DEFAULTS,
      endpoint: this.endpoint,
      region: "us-east-1",
      bucket,
      prefix: "berth/",
      pathStyle: true,
      credentials: S3_CREDENTIALS,
      caBundle: undefined,
      retryFirstMs: 20,
      retryMaxMs: 100,
    };
  }

  fileOf(bucket: string, key: string): string {
    return join(this.#parts.folder, "objects", bucket, key);
  }

  async removeObject(bucket: string, key: string): Promise<void> {
    await rm(this.fileOf(bucket, key), { force: true });
    await rm(join(this.#parts.folder, "beside", bucket, key), { recursive: true, force: true });
  }

  async start(): Promise<void> {
    if (isRunning(this.#child)) return;
    const { program, folder, port, tls } = this.#parts;
    const { accessKeyId, secretAccessKey } = S3_CREDENTIALS;
    const child = spawn(
      program,
      [
        ...["--access", accessKeyId, "--secret", secretAccessKey, "--port", `127.0.0.1:${port}`, "--quiet"],
        ...["--keep-alive", "--health", "/health"],
        ...(tls === undefined ? [] : ["--cert", tls.certFile, "--key", tls.keyFile]),
        // Metadata beside the objects: not every file system that tests run on has extended attributes.
        ...["posix", "--sidecar", join(folder, "beside"), join(folder, "objects")],
      ],
      { stdio: ["ignore", "pipe", "pipe"] },
    );
    this.#child = child;
    const ended = once(child, "exit");
    let said = "";
    for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk) => (said += String(chunk)));
    const isUp = listening(port);
    await Promise.race([
      isUp,
      ended.then(() => {
        throw new Error(`the S3 server ended at its start: ${said}`);
      }),
    ]);
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (!isRunning(child)) return;
    const ended = once(child, "exit");
    child.kill("SIGKILL");
    await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    await this.#parts.scope.close();
  }
}

function isRunning(child: ChildProcess | undefined): child is ChildProcess {
  return child !== undefined && child.exitCode === null && child.signalCode === null;
}

async function listening(port: number): Promise<void> {
  await eventually(async () => {
    const socket = connect(port, "127.0.0.1");
    try {
      await once(socket, "connect");
      return true;
    } catch {
      return undefined;
    } finally {
      socket.destroy();
    }
  });
}
