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
const TEMPLATE = "berth_template";
/** The projects of one run load this file each for itself. */
const HOLDER = Symbol.for("berth.test.postgres");

declare module "vitest" {
  interface ProvidedContext {
    /** As its superuser, to the database `postgres`. */
    readonly postgresUrl: string;
    readonly postgresTemplate: string;
  }
}

interface SharedServer {
  readonly url: string;
  readonly template: string;
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
  const { url, template, scope } = await holder.server;
  project.provide("postgresUrl", url);
  project.provide("postgresTemplate", template);
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
    const template = `${TEMPLATE}_${process.pid}`;
    await statement(url, `CREATE DATABASE ${template}`);
    scope.add(() => statement(url, `DROP DATABASE ${template} WITH (FORCE)`));
    await run(process.execPath, [FILL_TEMPLATE, urlOf(url, template)]);
    return { url, template, scope };
  } catch (error) {
    await scope.close();
    throw error;
  }
}

/** A database that is gone when disposed: with Berth's tables, or `isEmpty`. */
export async function createDatabase({
  isEmpty = false,
}: {
  readonly isEmpty?: boolean;
} = {}): Promise<AsyncDisposable & { readonly url: string }> {
  const server = inject("postgresUrl");
  const name = `berth_test_${crypto.randomUUID().replaceAll("-", "")}`;
  const template = isEmpty ? "template0" : inject("postgresTemplate");
  await statement(server, `CREATE DATABASE ${name} TEMPLATE ${template}`);
  return {
    url: urlOf(server, name),
    [Symbol.asyncDispose]: () => statement(server, `DROP DATABASE ${name} WITH (FORCE)`),
  };
}

function urlOf(server: string, database: string): string {
  const url = new URL(server);
  url.pathname = database;
  return url.href;
}

/** Runs one statement on a connection of its own. */
async function statement(url: string, sql: string): Promise<void> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
}
