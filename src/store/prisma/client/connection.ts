import { mkdir } from "node:fs/promises";
import { Socket } from "node:net";
import { join } from "node:path";
import { Pool, type PoolConfig } from "pg";
import { isFault } from "../../../domain/fault.ts";
import type { TenantQuotas } from "../../../domain/tenant-quotas.ts";
import type { Log } from "../../../observe/log.ts";
import { reach } from "../../../observe/reach.ts";
import { systemClock } from "../../../util/clock.ts";
import { Scope } from "../../../util/scope.ts";
import { lockFile } from "../../data-folder-lock.ts";
import { EmbeddedDatabase } from "./embedded-database.ts";
import { embeddedClient } from "./embedded-sessions.ts";
import { readPostgresUrl } from "./postgres-url.ts";
import { explainPostgres, probe } from "./probe-postgres.ts";

export interface ConnectionOptions {
  /** `postgresql://…`; undefined for the embedded database in `dataFolder`. */
  readonly databaseUrl?: string | undefined;
  readonly dataFolder: string;
  readonly log: Log;
  /** Maximum of connections to PostgreSQL, with that of migrations; the embedded database is one session. */
  readonly poolMax: number;
  /** PostgreSQL cancels a statement after this time; without an answer Berth gives up a little later. */
  readonly statementTimeoutMs: number;
  /** How long to wait for a free or a new connection; unset, 10 s, or the statement's time if that is shorter. */
  readonly acquireTimeoutMs?: number | undefined;
  /** PEM file of authorities that are trusted beside the system's. */
  readonly caBundleFile?: string | undefined;
  /** Name of our connections on the server. */
  readonly applicationName?: string | undefined;
  /** How long a start waits for a server that does not answer yet; unset, it tries once. */
  readonly startWaitMs?: number | undefined;
  /** Quotas of tenants without their own; unset, none. */
  readonly tenantDefaults?: TenantQuotas | undefined;
  /** Ends that wait. */
  readonly signal?: AbortSignal | undefined;
}

export interface Connection extends AsyncDisposable {
  readonly pool: Pool;
  /** True while every connection of the pool is in use. */
  isExhausted(): boolean;
  /** How long a statement waits for a free connection. */
  readonly acquireTimeoutMs: number;
  /** Retries the work until the server answers or the start's time is over. */
  reached<T>(work: () => Promise<T>): Promise<T>;
  /** A connection for work without a time limit. It counts as one of the pool, which nothing else uses yet. */
  withoutTimeLimit<T>(work: (pool: Pool) => Promise<T>): Promise<T>;
}

/** Grace, at most, after the statement timeout, at which the server itself gives up. */
const OVERDUE_MS_MAX = 5000;
const ACQUIRE_MS = 10_000;
const PROBE_MS_MAX = 5000;
const KEEP_ALIVE_MS = 10_000;

/** Both databases use one driver, so that types, errors and transactions are the same on both. */
export async function openConnection(options: ConnectionOptions): Promise<Connection> {
  const scope = new Scope();
  try {
    return options.databaseUrl === undefined
      ? await openEmbedded(options, scope)
      : await openServer(options.databaseUrl, options, scope);
  } catch (error) {
    await scope.close();
    throw error;
  }
}

async function openServer(url: string, options: ConnectionOptions, scope: Scope): Promise<Connection> {
  const { log, poolMax, statementTimeoutMs, startWaitMs = 0 } = options;
  const server = await readPostgresUrl(url, { caBundleFile: options.caBundleFile });
  const { acquireTimeoutMs = Math.min(statementTimeoutMs, ACQUIRE_MS) } = options;
  const common: PoolConfig = {
    ...server.config,
    application_name: options.applicationName ?? "berth",
    keepAlive: true,
    keepAliveInitialDelayMillis: KEEP_ALIVE_MS,
    connectionTimeoutMillis: acquireTimeoutMs,
    // The adapter reads every time as UTC, whatever its offset.
    onConnect: async (client) => {
      await client.query("SET TIME ZONE 'UTC'");
    },
  };
  const pool = watchedPool(scope, log, {
    ...common,
    max: poolMax,
    statement_timeout: statementTimeoutMs,
    // Shorter than the silence limit, which is for sockets that owe an answer.
    idleTimeoutMillis: Math.min(statementTimeoutMs, 30_000),
    stream: () => socketWithSilenceLimit(statementTimeoutMs + Math.min(statementTimeoutMs, OVERDUE_MS_MAX)),
  });
  const signal = options.signal ?? new AbortController().signal;
  return {
    ...pool,
    acquireTimeoutMs,
    reached: (work) => {
      let hasAnswered = false;
      return reach(
        {
          server: server.name,
          code: "store_unavailable",
          op: "store.connect",
          clock: systemClock,
          log,
          signal,
          waitMs: startWaitMs,
          // A failure after the first answer, other than a lost connection, does not pass by waiting.
          explain: (error) => (hasAnswered && !isFault(error) ? undefined : explainPostgres(error, server)),
        },
        async () => {
          hasAnswered = false;
          await probe(server, common, Math.min(statementTimeoutMs, PROBE_MS_MAX));
          hasAnswered = true;
          return work();
        },
      );
    },
    withoutTimeLimit: async (work) => {
      await using own = new Scope();
      return await work(watchedPool(own, log, { ...common, max: 1 }).pool);
    },
    [Symbol.asyncDispose]: () => scope.close(),
  };
}

async function openEmbedded(
  { dataFolder, statementTimeoutMs, log }: ConnectionOptions,
  scope: Scope,
): Promise<Connection> {
  await mkdir(dataFolder, { recursive: true });
  scope.use(await lockFile(join(dataFolder, "pglite.lock"), dataFolder));
  const database = scope.use(await EmbeddedDatabase.open(join(dataFolder, "pglite")));
  const pool = watchedPool(scope, log, {
    Client: embeddedClient(database),
    // All clients share the one session: this ends what an abandoned client has left open.
    onConnect: async (client) => {
      await client.query("ROLLBACK");
      await client.query("SET TIME ZONE 'UTC'");
    },
    max: 1,
    idleTimeoutMillis: 0,
    connectionTimeoutMillis: statementTimeoutMs,
  });
  return {
    ...pool,
    acquireTimeoutMs: statementTimeoutMs,
    reached: (work) => work(),
    withoutTimeLimit: (work) => work(pool.pool),
    [Symbol.asyncDispose]: () => scope.close(),
  };
}

function watchedPool(scope: Scope, log: Log, config: PoolConfig): Pick<Connection, "pool" | "isExhausted"> {
  const pool = new Pool(config);
  scope.add(() => pool.end());
  let inUse = 0;
  let isLost = false;
  pool.on("acquire", () => {
    inUse += 1;
  });
  pool.on("release", () => {
    inUse -= 1;
  });
  pool.on("connect", () => {
    isLost = false;
  });
  // A connection that breaks while idle is replaced; without a listener its error would end the process.
  pool.on("error", (error) => {
    if (!isLost) log.warn({ op: "store.connection", ok: false, err: error.message }, "lost connections");
    isLost = true;
  });
  return { pool, isExhausted: () => inUse >= (config.max ?? 1) };
}

/** While data is unacknowledged, the kernel notices a peer that disappeared only after a quarter of an hour. */
function socketWithSilenceLimit(silenceMs: number): Socket {
  const socket = new Socket();
  return socket.setTimeout(silenceMs, () => {
    const error = new Error(`PostgreSQL has been silent for ${silenceMs} ms`);
    socket.destroy(Object.assign(error, { code: "ETIMEDOUT" }));
  });
}
