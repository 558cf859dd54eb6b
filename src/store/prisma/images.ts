import { Fault } from "../../domain/fault.ts";
import type { ImageRows } from "../store.ts";
import { type Database, jsonValue } from "./database.ts";
import { toImage } from "./rows.ts";

export function createImageRows(db: Database): ImageRows {
  return {
    claim: (key, layer, holder, leaseMs) =>
      db.run(async (prisma) => {
        // A row that ends between the two statements is looked at again; each round means that somebody got on.
        for (;;) {
          const [claimed] = await prisma.$queryRaw<{ attempt: number }[]>`
            INSERT INTO berth_images AS i (key, layer, state, holder, lease_expires_at)
            VALUES (${key}, ${layer}, 'building', ${holder}, clock_timestamp() + ${leaseMs} * interval '1 millisecond')
            ON CONFLICT (key) DO UPDATE SET state = 'building', attempt = i.attempt + 1,
              holder = excluded.holder, lease_expires_at = excluded.lease_expires_at
            WHERE i.state = 'failed' OR (i.state = 'building' AND i.lease_expires_at <= clock_timestamp())
            RETURNING i.attempt`;
          if (claimed !== undefined) return { outcome: "claimed", attempt: claimed.attempt };
          const row = await prisma.image.findUnique({ where: { key } });
          if (row?.state === "ready" && row.imageRef !== null)
            return { outcome: "ready", imageRef: row.imageRef, warnings: toImage(row).warnings };
          if (row?.state === "building" && row.holder !== null && row.leaseExpiresAt !== null)
            return { outcome: "held", holder: row.holder, expiresAt: row.leaseExpiresAt };
        }
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
            ...{ state: "ready", imageRef, bytes, warnings: jsonValue(warnings) },
            ...{ holder: null, leaseExpiresAt: null },
          },
        });
        assertHeld(count, key);
      }),
    fail: (key, attempt) =>
      db.run(async (prisma) => {
        const { count } = await prisma.image.updateMany({
          where: { key, attempt, state: "building" },
          data: { state: "failed", holder: null, leaseExpiresAt: null },
        });
        assertHeld(count, key);
      }),
    forget: (key) =>
      db.run(async (prisma) => {
        // The row stays: its attempt must go on growing, or a stale builder could publish.
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
    throw new Fault("lease_lost", `The build of the image ${key} belongs to another holder by now.`);
}
