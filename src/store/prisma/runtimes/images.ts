import { Fault } from "../../../domain/fault.ts";
import type { ImageRecord, ImageRows } from "../../contracts/images.ts";
import { type Database, jsonValue, toCause } from "../client/database.ts";
import { leaseOver } from "../client/lease-expiry.ts";
import { writeCause } from "../client/storable-cause.ts";
import type * as rows from "../generated/client.ts";

export function createImageRows(db: Database): ImageRows {
  return {
    claim: (key, layer, holder, leaseMs, { identifier, isWaiting = false } = {}) =>
      db.run(async (prisma) => {
        // A row that changes between the statements is read again; each round means that another holder made progress.
        for (;;) {
          const [claimed] = await prisma.$queryRaw<{ attempt: number }[]>`
            INSERT INTO berth_images AS i (key, layer, state, holder, lease_expires_at, identifier)
            VALUES (${key}, ${layer}, 'building', ${holder},
              clock_timestamp() + ${leaseMs} * interval '1 millisecond', ${identifier ?? null})
            ON CONFLICT (key) DO UPDATE SET state = 'building', attempt = i.attempt + 1, uses = i.uses + 1,
              holder = excluded.holder, lease_expires_at = excluded.lease_expires_at,
              cause = NULL, identifier = coalesce(excluded.identifier, i.identifier), last_used_at = clock_timestamp()
            WHERE (i.state = 'failed' AND (${!isWaiting} OR i.cause IS NULL))
              OR (i.state IN ('building', 'deleting') AND ${leaseOver("i.lease_expires_at", leaseMs)})
            RETURNING i.attempt`;
          if (claimed !== undefined) return { outcome: "claimed", attempt: claimed.attempt };
          // A write, so that it waits for a concurrent removal, or the removal sees it.
          const used = await prisma.$executeRaw`
            UPDATE berth_images SET uses = uses + 1, last_used_at = clock_timestamp(),
              identifier = coalesce(${identifier ?? null}, identifier)
            WHERE key = ${key} AND state = 'ready'`;
          const row = await prisma.image.findUnique({ where: { key } });
          if (used > 0 && row?.state === "ready" && row.imageRef !== null)
            return { outcome: "ready", imageRef: row.imageRef, warnings: toImage(row).warnings };
          const cause = row?.state === "failed" ? toImage(row).cause : undefined;
          if (isWaiting && cause !== undefined) return { outcome: "failed", cause };
          const isHeld = row?.state === "building" || row?.state === "deleting";
          if (isHeld && row.holder !== null && row.leaseExpiresAt !== null)
            return { outcome: "held", holder: row.holder, expiresAt: row.leaseExpiresAt };
        }
      }),
    setBase: (key, attempt, baseKey) =>
      db.run(async (prisma) => {
        const where = { key, attempt, state: "building" };
        assertHeld((await prisma.image.updateMany({ where, data: { baseKey } })).count, key);
      }),
    renew: (key, attempt, leaseMs) =>
      db.run(async (prisma) =>
        assertHeld(
          await prisma.$executeRaw`
            UPDATE berth_images SET lease_expires_at = clock_timestamp() + ${leaseMs} * interval '1 millisecond'
            WHERE key = ${key} AND attempt = ${attempt} AND state = 'building'`,
          key,
        ),
      ),
    publish: (key, attempt, { imageRef, bytes, warnings }) =>
      db.run(async (prisma) => {
        const { count } = await prisma.image.updateMany({
          where: { key, attempt, state: "building" },
          data: {
            state: "ready",
            imageRef,
            bytes,
            warnings: jsonValue(warnings),
            holder: null,
            leaseExpiresAt: null,
          },
        });
        assertHeld(count, key);
      }),
    fail: (key, attempt, why) =>
      writeCause(why, (cause) =>
        db.run(async (prisma) => {
          const kept = cause === undefined ? {} : { cause: jsonValue(cause) };
          const { count } = await prisma.image.updateMany({
            where: { key, attempt, state: "building" },
            data: { state: "failed", holder: null, leaseExpiresAt: null, ...kept },
          });
          assertHeld(count, key);
        }),
      ),
    forget: (key) =>
      db.run(async (prisma) => {
        // The row stays: its attempt must keep growing, or a stale builder could publish.
        await prisma.image.updateMany({
          where: { key, state: "ready" },
          data: { state: "failed", imageRef: null, bytes: null },
        });
      }),
    find: (key) =>
      db.run(async (prisma) => {
        const row = await prisma.image.findUnique({ where: { key } });
        return row === null ? undefined : toImage(row);
      }),
    list: () =>
      db.run(async (prisma) =>
        (await prisma.image.findMany({ orderBy: [{ createdAt: "desc" }, { key: "desc" }] })).map(toImage),
      ),
  };
}

function assertHeld(rows: number, key: string): void {
  if (rows === 0)
    throw new Fault("lease_lost", `The lease of the image ${key} is lost; another worker may hold it now.`);
}

function toImage(row: rows.Image): ImageRecord {
  return {
    key: row.key,
    layer: row.layer as ImageRecord["layer"],
    state: row.state as ImageRecord["state"],
    imageRef: row.imageRef ?? undefined,
    bytes: row.bytes === null ? undefined : Number(row.bytes),
    warnings: row.warnings as string[],
    cause: toCause(row.cause),
    createdAt: row.createdAt,
  };
}
