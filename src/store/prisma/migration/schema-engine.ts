import { readFile } from "node:fs/promises";
import {
  bindMigrationAwareSqlAdapterFactory,
  type SqlDriverAdapter,
  type SqlMigrationAwareDriverAdapterFactory,
  type Transaction,
} from "@prisma/driver-adapter-utils";
import type * as Bindings from "@prisma/schema-engine-wasm/schema_engine_bg";
import { plainSql } from "../client/database.ts";
import type { Migration } from "./migrations.ts";

/** Node's own, which neither the language's library nor Node's types declare. */
declare const WebAssembly: {
  instantiate(
    bytes: Uint8Array,
    imports: Record<string, Record<string, unknown>>,
  ): Promise<{ readonly instance: { readonly exports: Record<string, unknown> } }>;
};

/** Prisma's own migration engine, working inside one open transaction. The caller commits, or rolls everything back. */
export interface SchemaEngine {
  /** Runs what the history lacks and writes the history. */
  apply(migrations: readonly Migration[]): Promise<void>;
  /** Writes the history of a migration whose tables are there already. */
  markApplied(name: string, migrations: readonly Migration[]): Promise<void>;
}

export async function openSchemaEngine(tx: Transaction): Promise<SchemaEngine> {
  const url = import.meta.resolve("@prisma/schema-engine-wasm/schema_engine_bg");
  // The bindings keep views of the memory that they first saw, so each instance gets a copy of the module.
  const bindings: typeof Bindings = await import(`${url}?instance=${crypto.randomUUID()}`);
  const wasm = new URL("schema_engine_bg.wasm", url);
  const { instance } = await WebAssembly.instantiate(await readFile(wasm), {
    "./schema_engine_bg.js": { ...bindings },
  });
  const { __wbg_set_wasm: setWasm } = { ...bindings } as unknown as {
    __wbg_set_wasm(exports: unknown): void;
  };
  const { __wbindgen_start: start } = instance.exports as unknown as { __wbindgen_start(): void };
  setWasm(instance.exports);
  start();
  const engine = await bindings.SchemaEngine.new(
    { datamodels: undefined },
    () => undefined,
    bindMigrationAwareSqlAdapterFactory(factoryOn(tx)),
  );
  const filters = { externalTables: [], externalEnums: [] };
  return {
    apply: async (migrations) => {
      await engine.applyMigrations({ migrationsList: listOf(migrations), filters });
    },
    markApplied: async (name, migrations) => {
      await engine.markMigrationApplied({ migrationName: name, migrationsList: listOf(migrations) });
    },
  };
}

function listOf(migrations: readonly Migration[]) {
  return {
    baseDir: "/",
    lockfile: { path: "migration_lock.toml", content: 'provider = "postgresql"\n' },
    shadowDbInitScript: "",
    migrationDirectories: migrations.map(({ name, sql }) => ({
      path: name,
      migrationFile: { path: "migration.sql", content: { tag: "ok" as const, value: sql } },
    })),
  };
}

function factoryOn(tx: Transaction): SqlMigrationAwareDriverAdapterFactory {
  const connect = () => Promise.resolve(adapterOn(tx));
  return {
    provider: tx.provider,
    adapterName: tx.adapterName,
    connect,
    connectToShadowDb: () => Promise.reject(new Error("there is no shadow database")),
  };
}

/** The engine probes for tables by failing on them, which would end the transaction: each statement has a savepoint. */
function adapterOn(tx: Transaction): SqlDriverAdapter {
  const guarded = async <T>(work: () => Promise<T>): Promise<T> => {
    await tx.executeRaw(plainSql("SAVEPOINT statement"));
    try {
      const result = await work();
      await tx.executeRaw(plainSql("RELEASE SAVEPOINT statement"));
      return result;
    } catch (error) {
      await tx.executeRaw(plainSql("ROLLBACK TO SAVEPOINT statement"));
      throw error;
    }
  };
  return {
    provider: tx.provider,
    adapterName: tx.adapterName,
    queryRaw: (query) => guarded(() => tx.queryRaw(query)),
    executeRaw: (query) => guarded(() => tx.executeRaw(query)),
    executeScript: async (script) => {
      await guarded(() => tx.executeRaw(plainSql(script)));
    },
    getConnectionInfo: () => ({ supportsRelationJoins: true }),
    startTransaction: () => Promise.reject(new Error("one transaction is open already")),
    dispose: () => Promise.resolve(),
  };
}
