import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { PGlite } from "@electric-sql/pglite";
import { createPgConfig } from "@electric-sql/pglite/node-postgres";
import { Pool, type PoolConfig } from "pg";
import type { Log } from "../../observe/log.ts";
import { Scope } from "../../util/scope.ts";
import { lockFile } from "../data-folder-lock.ts";

export interface ConnectionOptions {
  /** `postgres://…`; undefined for the embedded database in `dataFolder`. */
  readonly databaseUrl?: string | undefined;
  readonly dataFolder: string;
  readonly log: Log;
  /** Connections to PostgreSQL at most; the embedded database is one session. */
  readonly poolMax: number;
  /** PostgreSQL gives up on a statement after this time; it is also how long a free connection is waited for. */
  readonly statementTimeoutMs: number;
}

export interface Connection extends AsyncDisposable {
  readonly pool: Pool;
}

/** Both databases speak through one driver, so that types, errors and transactions are the same on both. */
export async function openConnection(options: ConnectionOptions): Promise<Connection> {
  const scope = new Scope();
  try {
    const pool = options.databaseUrl === undefined ? await openEmbedded(options, scope) : openServer(options);
    scope.add(() => pool.end());
    // A connection that breaks while idle is replaced; without a listener its error would end the process.
    pool.on("error", (error) => options.log.warn({ op: "store.connection", ok: false, err: error.message }));
    return { pool, [Symbol.asyncDispose]: () => scope.close() };
  } catch (error) {
    await scope.close();
    throw error;
  }
}

function openServer({ databaseUrl, poolMax, statementTimeoutMs }: ConnectionOptions): Pool {
  return new Pool({
    connectionString: databaseUrl,
    max: poolMax,
    statement_timeout: statementTimeoutMs,
    connectionTimeoutMillis: statementTimeoutMs,
    keepAlive: true,
    // The adapter reads every time as UTC, whatever offset stands behind it.
    onConnect: async (client) => {
      await client.query("SET TIME ZONE 'UTC'");
    },
  });
}

async function openEmbedded(
  { dataFolder, statementTimeoutMs }: ConnectionOptions,
  scope: Scope,
): Promise<Pool> {
  await mkdir(dataFolder, { recursive: true });
  scope.use(await lockFile(join(dataFolder, "pglite.lock"), dataFolder));
  const database = await PGlite.create(join(dataFolder, "pglite"));
  scope.add(() => database.close());
  await database.exec("SET TIME ZONE 'UTC'");
  const embedded = createPgConfig(database);
  // The driver hands its result parsers along as `types`; PGlite (0.5) takes those for parameter types and fails.
  const parse = embedded.connection.parse.bind(embedded.connection);
  embedded.connection.parse = (query: object) => parse({ ...query, types: undefined });
  const config: PoolConfig = {
    ...embedded,
    max: 1,
    idleTimeoutMillis: 0,
    connectionTimeoutMillis: statementTimeoutMs,
  };
  return new Pool(config);
}
