/**
 * A place where Berth is set up: one data folder, one database, one engine. A test starts and kills Berth on it as
 * often as it likes; when it is disposed, nothing of it is left on the machine.
 */
import { type ChildProcessByStdio, spawn } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import type { Readable } from "node:stream";
import { Client } from "pg";
import type { Role } from "../../../src/app.ts";
import type { ContainerState } from "../../../src/domain/container.ts";
import type { Engine, EngineImage } from "../../../src/engine/engine.ts";
import { Scope } from "../../../src/util/scope.ts";
import { type Ended, endOf } from "../processes/ended.ts";
import { placeEmbeddedDatabase } from "../servers/embedded-database.ts";
import { createDatabase } from "../servers/shared-postgres.ts";
import { BERTH_MAIN, type BerthProcess, inherited, makeDataFolder, startBerth } from "./berth.ts";
import { removeInstance, testEngine } from "./build.ts";

/** Both databases that Berth runs on. */
export const SITES = [{ database: "embedded" }, { database: "postgres" }] as const;

/** For tests of what stands on the store: what differs between databases is tested on both. */
export const ON_POSTGRES = SITES.filter(({ database }) => database === "postgres");

type Database = (typeof SITES)[number]["database"];
type Env = Readonly<Record<string, string>>;

/**
 * Periods that a test may wait for. Each poll and sweep is a dozen statements: at 0.3 s they were a third of what Berth
 * took of the processors in all tests.
 */
const SHORT_PERIODS: Env = {
  BERTH_LEASE_SECONDS: "2",
  BERTH_SWEEP_SECONDS: "0.5",
  BERTH_POLL_SECONDS: "0.5",
  BERTH_RECONCILE_SECONDS: "1",
  BERTH_ORPHAN_SECONDS: "1",
  BERTH_STOP_SECONDS_MAX: "2",
};

export interface Site extends AsyncDisposable {
  readonly dataFolder: string;
  readonly engine: Engine;
  /** What Berth is started with, the changes of `start` aside. */
  readonly env: Env;
  /** Where one runs already, it is the caller's business that the second one is refused. */
  start(changes?: Env, role?: Role): Promise<BerthProcess>;
  /** Begins a command of Berth, for the test to end. */
  begin(command: readonly string[], changes?: Env): ChildProcessByStdio<null, Readable, Readable>;
  /** Runs a command of Berth to its end. */
  run(command: readonly string[], changes?: Env): Promise<Ended>;
  /** Containers of plugins, also of those that run no more; of builds where asked for. */
  containers(kind?: "runtime" | "build"): Promise<readonly ContainerState[]>;
  /** Images made of packages, without their dependency layers. */
  images(): Promise<readonly EngineImage[]>;
  /** Pids of the embedded Redis servers on this data folder. */
  redisPids(): Promise<readonly number[]>;
  /** Rows of a database that a second client may open: PostgreSQL only. */
  rows(sql: string): Promise<readonly Readonly<Record<string, unknown>>[]>;
}

/**
 * On PostgreSQL unless it is asked for otherwise: Berth starts in half the time there. The database has its tables,
 * unless the site is to be as a user's is before the first start. With a `DATABASE_URL` in `env` none is made.
 */
export async function openSite(
  options: { database?: Database; isUntouched?: true; env?: Env } = {},
): Promise<Site> {
  const scope = new Scope();
  try {
    const dataFolder = scope.use(await makeDataFolder()).path;
    const isEmbedded = options.database === "embedded";
    const isMade = !isEmbedded && options.env?.["DATABASE_URL"] === undefined;
    const isEmpty = options.isUntouched ?? false;
    const databaseUrl = isMade ? await createDatabase({ isEmpty }) : undefined;
    if (isEmbedded && !isEmpty) await placeEmbeddedDatabase(dataFolder);
    const engine = scope.use(testEngine());
    const env: Env = {
      ...SHORT_PERIODS,
      BERTH_DATA: dataFolder,
      ...ofMachine(),
      ...(databaseUrl === undefined ? {} : { DATABASE_URL: databaseUrl }),
      ...options.env,
    };
    return new RealSite({ dataFolder, databaseUrl, engine, env, scope });
  } catch (error) {
    await scope.close();
    throw error;
  }
}

/** Where the machine's own network needs them: its authorities and its package index. */
function ofMachine(): Env {
  const caBundle = process.env["SSL_CERT_FILE"];
  const index = process.env["BERTH_PACKAGE_INDEX_URL"];
  return {
    ...(caBundle === undefined ? {} : { BERTH_CA_BUNDLE: caBundle }),
    ...(index === undefined ? {} : { BERTH_PACKAGE_INDEX_URL: index }),
  };
}

interface Parts {
  readonly dataFolder: string;
  readonly databaseUrl: string | undefined;
  readonly engine: Engine;
  readonly env: Env;
  readonly scope: Scope;
}

class RealSite implements Site {
  readonly #parts: Parts;
  readonly #running: BerthProcess[] = [];
  #instance: string | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
  }

  get dataFolder(): string {
    return this.#parts.dataFolder;
  }
  get engine(): Engine {
    return this.#parts.engine;
  }
  get env(): Env {
    return this.#parts.env;
  }

  async start(changes: Env = {}, role: Role = "serve"): Promise<BerthProcess> {
    const berth = await startBerth({ ...this.env, ...changes }, [role]);
    this.#running.push(berth);
    this.#instance = String(berth.log.find(({ op }) => op === "http.listen")?.["instance"]);
    return berth;
  }

  begin(command: readonly string[], changes: Env = {}): ChildProcessByStdio<null, Readable, Readable> {
    return spawn(process.execPath, [BERTH_MAIN, ...command], {
      env: { ...inherited(), BERTH_PORT: "0", ...this.env, ...changes },
      stdio: ["ignore", "pipe", "pipe"],
    });
  }

  async run(command: readonly string[], changes: Env = {}): Promise<Ended> {
    const { code, output, errors } = await endOf(this.begin(command, changes));
    this.#instance ??= /"instance":"([^"]+)"/.exec(output)?.[1];
    return { code, output, errors };
  }

  async containers(kind: "runtime" | "build" = "runtime"): Promise<readonly ContainerState[]> {
    return await this.engine.listContainers({ ...this.#labels(), "berth.kind": kind }, soon());
  }

  async images(): Promise<readonly EngineImage[]> {
    const images = await this.engine.listImages(this.#labels(), soon());
    return images.filter(({ tags }) => tags.some((tag) => tag.includes("/plugin:")));
  }

  async redisPids(): Promise<readonly number[]> {
    const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name)).map(Number);
    const found = await Promise.all(
      pids.map(async (pid) => ((await isRedisOf(pid, this.dataFolder)) ? [pid] : [])),
    );
    return found.flat();
  }

  async rows(sql: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const { databaseUrl } = this.#parts;
    if (databaseUrl === undefined) throw new Error("only Berth itself may open its embedded database");
    const client = new Client({ connectionString: databaseUrl });
    await client.connect();
    try {
      return (await client.query(sql)).rows;
    } finally {
      await client.end();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { engine, scope } = this.#parts;
    const instance = this.#instance;
    try {
      for (const berth of this.#running) await berth[Symbol.asyncDispose]();
      if (instance !== undefined) {
        await removeInstance(engine, instance);
        const labels = { "berth.instance": instance };
        for (const name of await engine.listNetworks(labels, soon()))
          await engine.removeNetwork(name, soon());
      }
    } finally {
      await scope.close();
    }
  }

  #labels(): Env {
    return { "berth.instance": this.#instance ?? "none yet" };
  }
}

/** Long enough for a loaded machine. */
function soon(): AbortSignal {
  return AbortSignal.timeout(60_000);
}

/** A zombie has no command line, a process that has gone no file. */
async function isRedisOf(pid: number, folder: string): Promise<boolean> {
  const line = await readFile(`/proc/${pid}/cmdline`, "utf8").catch(() => "");
  return line.startsWith("redis-server") && line.includes(folder);
}
