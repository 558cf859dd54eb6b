import { parsePackageRef } from "../../../domain/package-ref.ts";
import type { PackageDisk, PackageUse } from "../../contracts/disk.ts";
import type { Database, Tx } from "../client/database.ts";
import { Prisma } from "../generated/client.ts";

/** The users of the package `p`, one row each, with the installations of an earlier daemon. */
const HOLDERS = Prisma.sql`(
  SELECT 'installation ' || n.id AS holder FROM berth_installations n
  WHERE n.identifier = p.identifier OR n.previous_identifier = p.identifier
  UNION ALL
  SELECT 'installation ' || d.id FROM plugin_installations d
  WHERE d.plugin_unique_identifier = p.identifier
    AND NOT EXISTS (SELECT 1 FROM berth_installations n WHERE n.id = d.id)
  UNION ALL
  SELECT 'bundle ' || b.bundle FROM berth_bundle_packages b WHERE b.identifier = p.identifier
  UNION ALL
  SELECT 'pool ' || q.key FROM berth_pools q WHERE q.identifier = p.identifier
  UNION ALL
  SELECT 'upgrade of ' || u.installation_id FROM berth_upgrades_due u WHERE u.identifier = p.identifier
  UNION ALL
  SELECT 'task ' || t.id FROM berth_tasks t WHERE t.finished_at IS NULL
    AND (t.identifier = p.identifier OR strpos(t.input::text, p.identifier) > 0)
)`;

export function createPackageDisk(db: Database): PackageDisk {
  return {
    list: () =>
      db.run(
        (prisma) => prisma.$queryRaw<PackageUse[]>`
          SELECT p.identifier, p.created_at AS "createdAt",
            ARRAY(SELECT h.holder FROM ${HOLDERS} h ORDER BY h.holder) AS "heldBy",
            ARRAY(
              SELECT 'tenant ' || u.tenant_id FROM berth_package_uploaders u WHERE u.identifier = p.identifier
              UNION ALL SELECT 'operator' WHERE p.operator_kept
            ) AS "keptFor"
          FROM berth_packages p ORDER BY p.created_at, p.identifier`,
      ),
    installed: () =>
      db.run(async (prisma) => {
        const rows = await prisma.$queryRaw<{ identifier: string }[]>`
          SELECT DISTINCT plugin_unique_identifier AS identifier FROM plugin_installations
          WHERE coalesce(runtime_type, '') IN ('', 'local')`;
        return rows.map(({ identifier }) => identifier);
      }),
    unadopted: () =>
      db.run(async (prisma) => {
        const rows = await prisma.$queryRaw<{ identifier: string }[]>`
          SELECT d.identifier FROM (
            SELECT plugin_unique_identifier AS identifier FROM plugin_installations
            UNION SELECT plugin_unique_identifier FROM plugin_declarations
          ) d
          WHERE NOT EXISTS (SELECT 1 FROM berth_packages p WHERE p.identifier = d.identifier)`;
        return rows.map(({ identifier }) => identifier);
      }),
    take: (identifier, { uploadDays }) =>
      db.transaction(async (tx) => {
        // The acceptance of an install locks this row until its installation exists; the next statement then sees it.
        await tx.$queryRaw`SELECT 1 AS one FROM berth_packages WHERE identifier = ${identifier} FOR UPDATE`;
        const taken = await tx.$executeRaw`
          DELETE FROM berth_packages p WHERE p.identifier = ${identifier}
            AND NOT EXISTS (SELECT 1 FROM ${HOLDERS} h)
            AND (
              (NOT p.operator_kept AND NOT EXISTS (
                SELECT 1 FROM berth_package_uploaders u WHERE u.identifier = p.identifier))
              OR (${uploadDays}::float8 > 0 AND p.created_at < clock_timestamp() - ${uploadDays}::float8 * interval '1 day')
            )`;
        if (taken > 0) await removeBelongings(tx, identifier);
        return taken > 0;
      }),
  };
}

async function removeBelongings(tx: Tx, identifier: string): Promise<void> {
  const { checksum } = parsePackageRef(identifier);
  await tx.packageUploader.deleteMany({ where: { identifier } });
  await tx.signature.deleteMany({ where: { identifier } });
  await tx.importedImage.deleteMany({ where: { checksum } });
  await tx.pluginReadmeRecord.deleteMany({ where: { pluginUniqueIdentifier: identifier } });
  await tx.pluginDeclaration.deleteMany({ where: { pluginUniqueIdentifier: identifier } });
}
