import type { Actor } from "../../../domain/audit.ts";
import { installationNotFound } from "../../../domain/fault.ts";
import type { PermissionsChosen } from "../../../domain/permission.ts";
import type { PermissionRows } from "../../contracts/permissions.ts";
import { type Database, jsonText, type Tx } from "../client/database.ts";
import { holdKey, writeEvent } from "../tenants/audit.ts";

export function createPermissionRows(db: Database): PermissionRows {
  return {
    set: (id, chosen, by) =>
      db.transaction(async (tx) => {
        await holdKey(tx, by);
        const [row] = await tx.$queryRaw<{ tenant: string }[]>`
          UPDATE berth_installations SET permissions = ${jsonText(chosen)}::jsonb, updated_at = clock_timestamp()
          WHERE id = ${id}::uuid RETURNING tenant_id::text AS tenant`;
        if (row === undefined) throw installationNotFound(id);
        await writePermissionsEvent(tx, { id, tenantId: row.tenant }, { chosen, by });
      }),
  };
}

export async function writePermissionsEvent(
  tx: Tx,
  { id: installationId, tenantId }: { readonly id: string; readonly tenantId: string },
  { chosen, by }: { readonly chosen: PermissionsChosen; readonly by: Actor | undefined },
): Promise<void> {
  const of = { by, tenantId, installationId, result: "done" } as const;
  await writeEvent(tx, { kind: "installation.permissions", ...of, subject: permissionsSubject(chosen) });
}

/** As audit events show it: `tool=refused,storage=granted`. */
export function permissionsSubject(chosen: PermissionsChosen): string {
  const said = Object.entries(chosen).map(([name, on]) => `${name}=${on ? "granted" : "refused"}`);
  return said.join().slice(0, 255) || "default";
}

/** Only `set` and the acceptance of an install write the column. */
export function toPermissions(value: unknown): PermissionsChosen {
  return (value ?? {}) as PermissionsChosen;
}
