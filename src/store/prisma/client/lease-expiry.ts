import { Prisma } from "../generated/client.ts";

/** Longer than any lease, whatever another process's settings: `BERTH_LEASE_SECONDS` is at most half of it. */
const LONGEST_MS = 600_000;

/**
 * Whether a lease has expired: its time has passed, or it ends later than any lease that is written now. Such a lease was
 * written before the clock was set back and not renewed since; nothing should wait until the clock is there again. At worst
 * a living holder loses it, as when the clock is set forward, and its writes are fenced.
 */
export function leaseOver(
  column: "lease_expires_at" | "i.lease_expires_at" | "l.expires_at" | "expires_at",
  leaseMs = 0,
): Prisma.Sql {
  return Prisma.sql`(${Prisma.raw(column)} <= clock_timestamp() OR ${writtenAhead(column, leaseMs)})`;
}

/** Whether the lease ends later than any that is written now. */
export function writtenAhead(column: string, leaseMs: number): Prisma.Sql {
  const longestMs = Math.max(2 * leaseMs, LONGEST_MS);
  return Prisma.sql`${Prisma.raw(column)} > clock_timestamp() + ${longestMs} * interval '1 millisecond'`;
}
