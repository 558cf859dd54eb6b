/**
 * Automatic upgrades after an upload. They are written in the transaction of the package, so that none is lost where the
 * process is killed before each of them is a task.
 */
import { type Actor, BERTH_ITSELF } from "../../../domain/audit.ts";
import { InstallationId } from "../../../domain/ids.ts";
import { parsePackageRef } from "../../../domain/package-ref.ts";
import { compareVersions } from "../../../domain/version.ts";
import type { UpgradeRows } from "../../contracts/upgrades.ts";
import type { Database, Tx } from "../client/database.ts";
import { Prisma } from "../generated/client.ts";

export interface UpgradesAsked {
  readonly identifier: string;
  readonly pluginId: string;
  /** Undefined where the operator uploaded it, for all tenants. */
  readonly tenantId: string | undefined;
  /** False: only tenants whose settings ask for every newer version get it. */
  readonly isAsked: boolean;
  readonly by: Actor | undefined;
}

/** Writes one row for each installation of an older version; of several uploads the newest version counts. */
export async function noteUpgradesDue(tx: Tx, asked: UpgradesAsked): Promise<void> {
  const { identifier, pluginId, tenantId, isAsked, by = BERTH_ITSELF } = asked;
  const mine = tenantId === undefined ? Prisma.empty : Prisma.sql`AND i.tenant_id = ${tenantId}::uuid`;
  const found = await tx.$queryRaw<{ id: string; identifier: string; due: string | null }[]>`
    SELECT i.id, i.identifier, d.identifier AS due
    FROM berth_installations i JOIN berth_tenants t ON t.id = i.tenant_id
      LEFT JOIN berth_upgrades_due d ON d.installation_id = i.id
    WHERE i.plugin_id = ${pluginId} AND i.desired <> 'removed' AND t.removing_task_id IS NULL
      AND (${isAsked} OR t.auto_upgrade) ${mine}`;
  const older = found.filter((row) => isOlder(row.identifier, identifier) && !isOlder(identifier, row.due));
  for (const { id } of older)
    await tx.$executeRaw`
      INSERT INTO berth_upgrades_due (installation_id, identifier, key_id, key_name, request_id)
      VALUES (${id}::uuid, ${identifier}, ${by.keyId}, ${by.keyName}, ${by.requestId})
      ON CONFLICT (installation_id) DO UPDATE SET identifier = excluded.identifier, key_id = excluded.key_id,
        key_name = excluded.key_name, request_id = excluded.request_id`;
}

interface DueRow {
  readonly installation_id: string;
  readonly identifier: string;
  readonly key_id: string;
  readonly key_name: string;
  readonly request_id: string;
}

function isOlder(identifier: string, than: string | null): boolean {
  if (than === null) return false;
  return compareVersions(parsePackageRef(identifier).version, parsePackageRef(than).version) < 0;
}

export function createUpgradeRows(db: Database): UpgradeRows {
  return {
    listDue: async (filter, limit) => {
      if (!(await db.watch.hasWork("upgrades"))) return [];
      return await db.run(async (prisma) => {
        const which =
          "identifier" in filter
            ? Prisma.sql`identifier = ${filter.identifier}`
            : Prisma.sql`created_at <= clock_timestamp() - ${filter.minAgeMs} * interval '1 millisecond'`;
        const rows = await prisma.$queryRaw<DueRow[]>`
          SELECT installation_id, identifier, key_id, key_name, request_id FROM berth_upgrades_due
          WHERE ${which} ORDER BY created_at LIMIT ${limit}`;
        return rows.map((row) => ({
          installationId: InstallationId.parse(row.installation_id),
          identifier: row.identifier,
          by: { keyId: row.key_id, keyName: row.key_name, requestId: row.request_id },
        }));
      });
    },
    forget: ({ installationId, identifier }) =>
      db.run(async (prisma) => {
        await prisma.upgradeDue.deleteMany({ where: { installationId, identifier } });
      }),
  };
}
