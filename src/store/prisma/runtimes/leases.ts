import { Fault } from "../../../domain/fault.ts";
import type { LeaseRows } from "../../contracts/leases.ts";
import type { Database } from "../client/database.ts";
import { leaseOver } from "../client/lease-expiry.ts";

export function createLeaseRows(db: Database): LeaseRows {
  return {
    take: (name, holder, leaseMs) =>
      db.run(async (prisma) => {
        const taken = await prisma.$executeRaw`
          INSERT INTO berth_leases AS l (name, holder, expires_at)
          VALUES (${name}, ${holder}, clock_timestamp() + ${leaseMs} * interval '1 millisecond')
          ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, expires_at = excluded.expires_at
          WHERE ${leaseOver("l.expires_at", leaseMs)}`;
        return taken > 0;
      }),
    renew: (name, holder, leaseMs) =>
      db.run(async (prisma) => {
        const renewed = await prisma.$executeRaw`
          UPDATE berth_leases SET expires_at = clock_timestamp() + ${leaseMs} * interval '1 millisecond'
          WHERE name = ${name} AND holder = ${holder}`;
        if (renewed === 0)
          throw new Fault("lease_lost", `The lease ${name} is lost; another worker may hold it now.`);
      }),
    release: (name, holder) =>
      db.run(async (prisma) => {
        await prisma.lease.deleteMany({ where: { name, holder } });
      }),
    isTaken: (name) =>
      db.run(async (prisma) => {
        const found = await prisma.$queryRaw<unknown[]>`
          SELECT 1 AS one FROM berth_leases WHERE name = ${name} AND NOT ${leaseOver("expires_at")}`;
        return found.length > 0;
      }),
  };
}
