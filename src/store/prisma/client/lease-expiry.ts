import { Prisma } from "../generated/client.ts";

/** No lease is that long, whatever another process's settings say: `BERTH_LEASE_SECONDS` is at most half of it. */
const LONGEST_MS = 600_000;

/**
 * Whether a lease is over: its time has passed, or it ends later than any that is written now. The latter was written
 * before the clock was set back, by a holder that has not renewed it since: nobody is to wait for the clock to come
 * there again. A holder that lives loses it at worst as it does when the clock is set forward, and is fenced.
 */
export function leaseOver(
  column: "lease_expires_at" | "i.lease_expires_at" | "l.expires_at" | "expires_at",
  leaseMs = 0,
): Prisma.Sql {
  return Prisma.sql`(${Prisma.raw(column)} <= clock_timestamp() OR ${writtenAhead(column, leaseMs)})`;
}

/** The second half of it. */
export function writtenAhead(column: string, leaseMs: number): Prisma.Sql {
  const longestMs = Math.max(2 * leaseMs, LONGEST_MS);
  return Prisma.sql`${Prisma.raw(column)} > clock_timestamp() + ${longestMs} * interval '1 millisecond'`;
}
