/** Databases as dify-plugin-daemon leaves them: its tables, of today or of an earlier release, with rows. */

import { randomUUID } from "node:crypto";
import { readMigrations } from "../../../src/store/prisma/migration/migrations.ts";
import { connectAsOther } from "../rigs/other-program.ts";
import type { TestDatabase } from "../rigs/stores.ts";

export const CATALOGUES = ["current", "older"] as const;
type CatalogueAge = (typeof CATALOGUES)[number];

const ALL = [
  ...["agent_strategy_installations", "ai_model_installations", "datasource_installations", "endpoints"],
  ...["install_tasks", "plugin_declarations", "plugin_installations", "plugin_readme_records", "plugins"],
  ...["serverless_runtimes", "tenant_storages", "tool_installations", "trigger_installations"],
];
/** Where earlier releases kept a declaration; the daemon's migration takes NOT NULL from it and lets it be. */
const DECLARED = [
  ...["plugins", "serverless_runtimes", "tool_installations", "ai_model_installations"],
  ...["agent_strategy_installations", "trigger_installations"],
];

/**
 * What the daemon's own migration makes of a database that an earlier release began: ids with a default, columns that
 * nobody writes, a table that nobody reads. The extension behind `uuid_generate_v4()` is not in every PostgreSQL, and
 * not in the embedded one: a function of that name stands for it.
 */
const OLDER = [
  `CREATE FUNCTION uuid_generate_v4() RETURNS uuid LANGUAGE sql AS 'SELECT gen_random_uuid()'`,
  ...ALL.map((table) => `ALTER TABLE ${table} ALTER COLUMN id SET DEFAULT uuid_generate_v4()`),
  ...DECLARED.map((table) => `ALTER TABLE ${table} ADD COLUMN declaration text`),
  `CREATE TABLE plugin_readmes (
    id uuid NOT NULL DEFAULT uuid_generate_v4() PRIMARY KEY, created_at timestamptz, updated_at timestamptz,
    tenant_id uuid NOT NULL, plugin_unique_identifier varchar(255) NOT NULL, language varchar(10) NOT NULL,
    content text NOT NULL)`,
];

export async function daemonTables(age: CatalogueAge): Promise<readonly string[]> {
  const [first] = await readMigrations();
  return age === "older" ? [first.sql, ...OLDER] : [first.sql];
}

export interface DaemonPackage {
  readonly identifier: string;
  readonly pluginId: string;
  readonly declaration: object;
  /** Table and provider, as the declaration's kinds have them. */
  readonly kinds: readonly { readonly table: string; readonly provider: string }[];
}

export interface DaemonInstallation {
  readonly id: string;
  readonly tenant: string;
  readonly pkg: Pick<DaemonPackage, "identifier" | "pluginId" | "kinds">;
  readonly source?: string;
  readonly meta?: string;
  readonly runtime?: string;
}

const AT = "2026-03-01T12:00:00.123456Z";
const text = (value: string) => `'${value.replaceAll("'", "''")}'`;
/** Ids of the daemon's own rows: times stand in them, and they are no business of Berth's. */
const common = (id: string = randomUUID()) => `${text(id)}, ${text(AT)}, ${text(AT)}`;

export function declarationRow({ identifier, pluginId, declaration }: DaemonPackage): string {
  return `INSERT INTO plugin_declarations (id, created_at, updated_at, plugin_unique_identifier, plugin_id, declaration)
    VALUES (${common()}, ${text(identifier)}, ${text(pluginId)}, ${text(JSON.stringify(declaration))})`;
}

export function pluginRow(
  { identifier, pluginId }: Pick<DaemonPackage, "identifier" | "pluginId">,
  refers: number,
): string {
  return `INSERT INTO plugins (id, created_at, updated_at, plugin_unique_identifier, plugin_id, refers, install_type,
      manifest_type, source)
    VALUES (${common()}, ${text(identifier)}, ${text(pluginId)}, ${refers}, 'local', '', 'marketplace')`;
}

export function installationRows(one: DaemonInstallation): readonly string[] {
  const { id, tenant, pkg, source = "marketplace", meta = "{}", runtime = "local" } = one;
  const { identifier, pluginId } = pkg;
  return [
    `INSERT INTO plugin_installations (id, created_at, updated_at, tenant_id, plugin_id, plugin_unique_identifier,
        runtime_type, endpoints_setups, endpoints_active, source, meta)
      VALUES (${common(id)}, ${text(tenant)}, ${text(pluginId)}, ${text(identifier)}, ${text(runtime)}, 0, 0,
        ${text(source)}, ${text(meta)})`,
    ...pkg.kinds.map(
      ({ table, provider }) => `
      INSERT INTO ${table} (id, created_at, updated_at, tenant_id, provider, plugin_unique_identifier, plugin_id)
      VALUES (${common()}, ${text(tenant)}, ${text(provider)}, ${text(identifier)}, ${text(pluginId)})`,
    ),
  ];
}

export function endpointRow(
  tenant: string,
  pluginId: string,
  { hookId, enabled }: { readonly hookId: string; readonly enabled: boolean },
): string {
  return `INSERT INTO endpoints (id, created_at, updated_at, name, hook_id, tenant_id, user_id, plugin_id, expired_at,
      enabled, settings)
    VALUES (${common()}, 'default', ${text(hookId)}, ${text(tenant)}, ${text(randomUUID())}, ${text(pluginId)},
      '2050-01-01', ${enabled}, '{}')`;
}

export function installTaskRow(
  tenant: string,
  { id, status, items }: { readonly id: string; readonly status: string; readonly items: readonly object[] },
): string {
  return `INSERT INTO install_tasks (id, created_at, updated_at, status, tenant_id, total_plugins, completed_plugins, plugins)
    VALUES (${common(id)}, ${text(status)}, ${text(tenant)}, ${items.length}, 0, ${text(JSON.stringify(items))})`;
}

/** Runs statements as some other program would, while no store has the database open; answers the rows of the last. */
export async function speak(
  database: Pick<TestDatabase, "databaseUrl" | "dataFolder">,
  statements: readonly string[],
): Promise<readonly Readonly<Record<string, unknown>>[]> {
  await using other = await connectAsOther(database);
  for (const sql of statements.slice(0, -1)) await other.run(sql);
  const last = statements.at(-1);
  return last === undefined ? [] : await other.records(last);
}
