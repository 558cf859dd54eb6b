import type { SqlDriverAdapter, Transaction } from "@prisma/driver-adapter-utils";
import { Fault } from "../../../domain/fault.ts";
import type { Log } from "../../../observe/log.ts";
import { plainSql } from "../client/database.ts";
import { assertUsableAs, readCatalogue } from "./catalogue.ts";
import { type Migration, readMigrations } from "./migrations.ts";
import { openSchemaEngine } from "./schema-engine.ts";

/** Any number that no other program on the same database would take for its own lock. */
const LOCK = 7_238_411_901;

/**
 * Brings the database to the newest migration: all of it, or nothing at all, because tables and history are written
 * in one transaction. Starters of several processes wait for each other there. A database that has the daemon's
 * tables and no history is adopted when its catalogue fits, else it throws `store_mismatch`.
 */
export async function migrate({ adapter, log }: { adapter: SqlDriverAdapter; log: Log }): Promise<void> {
  const migrations = await readMigrations();
  const tx = await adapter.startTransaction();
  try {
    // The lock ends with the transaction, also where a proxy hands out connections per transaction. It locks nothing
    // in an embedded database, whose folder has one opener anyway.
    await tx.executeRaw(plainSql("SET LOCAL statement_timeout = 0"));
    await tx.queryRaw(plainSql(`SELECT 1 FROM (SELECT pg_advisory_xact_lock(${LOCK})) locked`));
    const applied = await readHistory(tx);
    const missing = migrations.filter(({ name }) => !applied?.has(name));
    if (missing.length > 0) {
      await assertMayCreate(tx);
      const engine = await openSchemaEngine(tx);
      if (applied === undefined && (await hasTable(tx, "plugin_installations"))) {
        await assertDaemonTables(tx, migrations[0]);
        await engine.markApplied(migrations[0].name, migrations);
        log.info({ op: "store.adopt", ok: true }, "took over the tables that dify-plugin-daemon made");
      }
      await engine.apply(migrations);
      log.info({ op: "store.migrate", ok: true, migrations: missing.map(({ name }) => name) });
    }
    await tx.executeRaw(plainSql("COMMIT"));
    await tx.commit();
  } catch (error) {
    await tx.executeRaw(plainSql("ROLLBACK")).catch(() => undefined);
    await tx.rollback();
    throw error;
  }
}

/** Asked beforehand: out of the migration engine the refusal comes without its code. */
async function assertMayCreate(tx: Transaction): Promise<void> {
  const { rows } = await tx.queryRaw(
    plainSql(
      "SELECT has_schema_privilege(current_schema(), 'CREATE'), current_schema(), current_user::text, current_database()",
    ),
  );
  const [mayCreate, schema, user, database] = rows[0] ?? [];
  if (mayCreate === true) return;
  throw new Fault(
    "store_mismatch",
    `The role ${user} may not make tables in schema ${schema} of database ${database}: GRANT CREATE ON SCHEMA ${schema} TO ${user}, or make it the owner of the database.`,
  );
}

/** Names of what has been applied; undefined where there is no history. */
async function readHistory(tx: Transaction): Promise<ReadonlySet<string> | undefined> {
  if (!(await hasTable(tx, "_prisma_migrations"))) return undefined;
  const { rows } = await tx.queryRaw(
    plainSql(
      "SELECT migration_name FROM _prisma_migrations WHERE finished_at IS NOT NULL AND rolled_back_at IS NULL",
    ),
  );
  return new Set(rows.map(([name]) => String(name)));
}

async function hasTable(tx: Transaction, name: string): Promise<boolean> {
  const { rows } = await tx.queryRaw(
    plainSql(
      `SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
       WHERE n.nspname = current_schema() AND c.relname = '${name}'`,
    ),
  );
  return rows.length > 0;
}

/** What the tables ought to be is made by the migration itself, in a schema that never leaves the transaction. */
async function assertDaemonTables(tx: Transaction, first: Migration): Promise<void> {
  const actual = await readCatalogue(tx);
  await tx.executeRaw(plainSql("SAVEPOINT sample"));
  await tx.executeRaw(plainSql("CREATE SCHEMA berth_sample"));
  await tx.executeRaw(plainSql("SET LOCAL search_path = berth_sample"));
  await tx.executeRaw(plainSql(first.sql));
  const expected = await readCatalogue(tx);
  await tx.executeRaw(plainSql("ROLLBACK TO SAVEPOINT sample"));
  assertUsableAs(expected, actual);
}
