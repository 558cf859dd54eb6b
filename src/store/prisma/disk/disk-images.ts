/**
 * Which images are needed, and the one statement that starts a removal. A user of an image writes its row (`claim` counts
 * the use) before it relies on it; a removal names the number of uses at which it saw no user. So one of the two always
 * comes first: the user finds the row `deleting`, or the removal finds another number.
 */
import type { ImageDisk, ImageUse } from "../../contracts/disk.ts";
import type { Database } from "../client/database.ts";
import { leaseOver } from "../client/lease-expiry.ts";
import { Prisma } from "../generated/client.ts";

/**
 * The users of the image `i`, one row each. Of several images of one package (after a change of the settings or of the
 * runtime image) an installation without a pool needs the newest; a task may need any. An imported image cannot be built
 * again here: it stays as long as its package.
 */
const HOLDERS = Prisma.sql`(
  SELECT 'pool ' || p.key AS holder FROM berth_pools p WHERE p.image_key = i.key
  UNION ALL
  SELECT 'installation ' || n.id FROM berth_installations n
  WHERE (n.identifier = i.identifier OR n.previous_identifier = i.identifier) AND NOT EXISTS (
    SELECT 1 FROM berth_images newer WHERE newer.identifier = i.identifier AND newer.state = 'ready'
      AND (newer.created_at, newer.key) > (i.created_at, i.key))
  UNION ALL
  SELECT 'rollback of ' || n.id FROM berth_installations n WHERE n.previous_image_key = i.key
  UNION ALL
  SELECT 'import' FROM berth_imported_images m WHERE m.image_key = i.key
    AND EXISTS (SELECT 1 FROM berth_packages k WHERE k.checksum = m.checksum)
  UNION ALL
  SELECT 'task ' || t.id FROM berth_tasks t WHERE t.finished_at IS NULL
    AND (t.identifier = i.identifier OR strpos(t.input::text, i.identifier) > 0)
  UNION ALL
  SELECT 'build ' || b.key FROM berth_images b WHERE b.base_key = i.key AND b.state = 'building'
)`;

type ListedImage = Omit<ImageUse, "imageRef" | "baseKey"> &
  Readonly<Record<"imageRef" | "baseKey", string | null>>;

export function createImageDisk(db: Database): ImageDisk {
  return {
    list: () =>
      db.run(async (prisma) => {
        const rows = await prisma.$queryRaw<ListedImage[]>`
          SELECT i.key, i.layer, i.state, i.image_ref AS "imageRef", i.base_key AS "baseKey", i.uses,
            i.last_used_at AS "lastUsedAt",
            coalesce(NOT ${leaseOver("i.lease_expires_at")}, false) AS "isLeased",
            ARRAY(SELECT h.holder FROM ${HOLDERS} h ORDER BY h.holder) AS "heldBy"
          FROM berth_images i ORDER BY i.last_used_at, i.key`;
        return rows.map((row) => ({
          ...row,
          imageRef: row.imageRef ?? undefined,
          baseKey: row.baseKey ?? undefined,
        }));
      }),
    noteNeeded: (keys) =>
      db.run(async (prisma) => {
        if (keys.length === 0) return;
        await prisma.image.updateMany({
          where: { key: { in: [...keys] } },
          data: { lastUsedAt: new Date() },
        });
      }),
    take: ({ key, uses }, holder, leaseMs) =>
      db.run(async (prisma) => {
        const [taken] = await prisma.$queryRaw<{ attempt: number }[]>`
          UPDATE berth_images i SET state = 'deleting', attempt = i.attempt + 1, holder = ${holder},
            lease_expires_at = clock_timestamp() + ${leaseMs} * interval '1 millisecond'
          WHERE i.key = ${key} AND i.uses = ${uses} AND (
            (i.state = 'deleting' AND ${leaseOver("i.lease_expires_at", leaseMs)})
            OR (
              (i.state IN ('ready', 'failed') OR (i.state = 'building' AND ${leaseOver("i.lease_expires_at", leaseMs)}))
              AND NOT EXISTS (SELECT 1 FROM ${HOLDERS} h)
              AND NOT EXISTS (SELECT 1 FROM berth_images a WHERE a.base_key = i.key AND a.state <> 'failed')
            )
          )
          RETURNING i.attempt`;
        return taken?.attempt;
      }),
    keep: (key, attempt) =>
      db.run(async (prisma) => {
        await prisma.image.updateMany({
          where: { key, attempt, state: "deleting" },
          data: { state: "ready", holder: null, leaseExpiresAt: null },
        });
      }),
    drop: (key, attempt) =>
      db.run(async (prisma) => {
        const { count } = await prisma.image.deleteMany({ where: { key, attempt, state: "deleting" } });
        if (count > 0) await prisma.importedImage.deleteMany({ where: { imageKey: key } });
      }),
  };
}
