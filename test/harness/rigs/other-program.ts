import { PrismaPg } from "@prisma/adapter-pg";
import type { SqlQueryable } from "@prisma/driver-adapter-utils";
import { silentLog } from "../../../src/observe/log.ts";
import { openConnection } from "../../../src/store/prisma/client/connection.ts";
import { plainSql } from "../../../src/store/prisma/client/database.ts";

/** What another program says to Berth's database. */
export interface OtherProgram extends AsyncDisposable {
  readonly adapter: SqlQueryable;
  run(sql: string): Promise<void>;
  /** Values in the order of the columns. */
  rows(sql: string): Promise<unknown[][]>;
  /** The same rows with the columns' names. */
  records(sql: string): Promise<Record<string, unknown>[]>;
}

/** Connects as another program would. The embedded database has one opener: no store may have it open meanwhile. */
export async function connectAsOther({
  databaseUrl,
  dataFolder,
}: {
  readonly databaseUrl: string | undefined;
  readonly dataFolder: string;
}): Promise<OtherProgram> {
  const connection = await openConnection({
    databaseUrl,
    dataFolder,
    log: silentLog,
    poolMax: 1,
    statementTimeoutMs: 30_000,
  });
  try {
    const adapter = await new PrismaPg(connection.pool).connect();
    return {
      adapter,
      run: async (sql) => void (await adapter.executeRaw(plainSql(sql))),
      rows: async (sql) => (await adapter.queryRaw(plainSql(sql))).rows,
      records: async (sql) => {
        const { columnNames, rows } = await adapter.queryRaw(plainSql(sql));
        return rows.map((row) => Object.fromEntries(columnNames.map((name, place) => [name, row[place]])));
      },
      [Symbol.asyncDispose]: () => connection[Symbol.asyncDispose](),
    };
  } catch (error) {
    await connection[Symbol.asyncDispose]();
    throw error;
  }
}
