/**
 * One PostgreSQL for a whole run, and in it a template with Berth's tables: a test's own database is a copy of it. The
 * projects of the run share the server; the last one that is done with it stops it.
 */
import { execFile } from "node:child_process";
import { join } from "node:path";
import { promisify } from "node:util";
import { Client } from "pg";
import { inject } from "vitest";
import type { TestProject } from "vitest/node";
import { Scope } from "../../../src/util/scope.ts";
import { startServer } from "./postgres.ts";

const run = promisify(execFile);
const FILL_TEMPLATE = join(import.meta.dirname, "../../fixtures/fill-template.ts");
/** The projects of one run load this file each for itself. */
const HOLDER = Symbol.for("berth.test.postgres");

declare module "vitest" {
  interface ProvidedContext {
    /** As its superuser, to the database `postgres`. */
    readonly postgresUrl: string;
    /** Of the names of all databases of this run. */
    readonly postgresPrefix: string;
  }
}

interface SharedServer {
  readonly url: string;
  readonly prefix: string;
  readonly scope: Scope;
}

interface Holder {
  server: Promise<SharedServer>;
  users: number;
}

/**
 * The global set-up of each project that needs it. With `BERTH_TEST_DATABASE_URL`, whose role must be allowed to create
 * databases, that server is used and only what was made there is removed.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const shared: Record<symbol, Holder | undefined> = Object(globalThis);
  shared[HOLDER] ??= { server: start(), users: 0 };
  const holder = shared[HOLDER];
  holder.users += 1;
  const { url, prefix, scope } = await holder.server;
  project.provide("postgresUrl", url);
  project.provide("postgresPrefix", prefix);
  return async () => {
    holder.users -= 1;
    if (holder.users > 0) return;
    delete shared[HOLDER];
    await scope.close();
  };
}

async function start(): Promise<SharedServer> {
  const scope = new Scope();
  try {
    const given = process.env["BERTH_TEST_DATABASE_URL"];
    const url = given ?? (await startServer(scope));
    const prefix = `berth_test_${crypto.randomUUID().slice(0, 8)}_`;
    if (given !== undefined) scope.add(() => dropDatabases(url, prefix));
    const template = `${prefix}template`;
    await statement(url, `CREATE DATABASE ${template}`);
    await run(process.execPath, [FILL_TEMPLATE, urlOf(url, template)]);
    return { url, prefix, scope };
  } catch (error) {
    await scope.close();
    throw error;
  }
}

/** The prefix is this run's own. */
async function dropDatabases(url: string, prefix: string): Promise<void> {
  const made = await statement(
    url,
    `SELECT datname FROM pg_database WHERE starts_with(datname, '${prefix}')`,
  );
  for (const { datname } of made) await statement(url, `DROP DATABASE ${datname} WITH (FORCE)`);
}

/**
 * The URL of a new database: with Berth's tables, or `isEmpty`. It is removed at the end of the run: to drop one makes
 * the server write out what all others have changed.
 */
export async function createDatabase({
  isEmpty = false,
}: {
  readonly isEmpty?: boolean;
} = {}): Promise<string> {
  const server = inject("postgresUrl");
  const prefix = inject("postgresPrefix");
  const name = `${prefix}${crypto.randomUUID().replaceAll("-", "")}`;
  await statement(server, `CREATE DATABASE ${name} TEMPLATE ${isEmpty ? "template0" : `${prefix}template`}`);
  return urlOf(server, name);
}

function urlOf(server: string, database: string): string {
  const url = new URL(server);
  url.pathname = database;
  return url.href;
}

/** Runs one statement on a connection of its own; its rows. */
async function statement(url: string, sql: string): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}
