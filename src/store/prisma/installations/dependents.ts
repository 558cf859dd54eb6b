import { InstallationId } from "../../../domain/ids.ts";
import { type Dependent, type PluginNeed, parseNeed } from "../../../domain/plugin-need.ts";
import type { Tx } from "../client/database.ts";

/** Reads rows inside a transaction, or outside one. */
type Reader = Pick<Tx, "$queryRaw">;

interface DependentRow {
  readonly id: string;
  readonly plugin_id: string;
  readonly identifier: string;
  readonly type: string;
  readonly value: string;
}

/** Installations that need this one with their current package, or with the one that a task is about to install. */
export async function dependentsOf(reader: Reader, id: string): Promise<readonly Dependent[]> {
  const rows = await reader.$queryRaw<DependentRow[]>`
    SELECT i.id, i.plugin_id, d.identifier, d.type, d.value
    FROM berth_dependencies d JOIN berth_installations i ON i.id = d.needing_id
    WHERE d.needed_id = ${id}::uuid AND i.desired <> 'removed'
      AND (i.identifier = d.identifier OR EXISTS (
        SELECT 1 FROM berth_tasks t
        WHERE t.installation_id = i.id AND t.identifier = d.identifier AND t.finished_at IS NULL))
    ORDER BY i.created_at, i.id`;
  return rows.map((row) => ({
    installationId: InstallationId.parse(row.id),
    pluginId: row.plugin_id,
    identifier: row.identifier,
    need: toNeed(row),
  }));
}

export function toNeed({ type, value }: { readonly type: string; readonly value: string }): PluginNeed {
  const need = parseNeed(value, type);
  if (need === undefined) throw new Error(`the database has a dependency that is none: ${type} ${value}`);
  return need;
}
