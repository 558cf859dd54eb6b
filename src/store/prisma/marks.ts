/** The statement behind `Watch`: the version of every group of rows that is polled, in one row. */
import type { Marks } from "./client/watch.ts";
import { Prisma, type PrismaClient } from "./generated/client.ts";
import { UNATTENDED } from "./installations/debug.ts";
import { ADOPTABLE } from "./platform/adoption.ts";
import { DAEMON_TASKS } from "./platform/daemon-tasks.ts";
import { ABANDONED } from "./platform/platform-tasks.ts";
import { CLAIMABLE } from "./tasks/tasks.ts";

/** Any change of a row writes a version of it, with another place and the number of its transaction. */
const versionOf = (rows: string) =>
  Prisma.sql`(SELECT coalesce(sum(hashtextextended(ctid::text || ' ' || xmin::text, 0)), 0)::text FROM ${Prisma.raw(rows)})`;

export async function readMarks(prisma: PrismaClient): Promise<Marks> {
  const [marks] = await prisma.$queryRaw<Marks[]>`
    SELECT ${versionOf("berth_installations")} || ' ' || ${versionOf("berth_removed_installations")} AS installations,
      ${versionOf("berth_pools")} AS pools,
      ${versionOf("berth_runtimes WHERE state <> 'ended'")} AS runtimes,
      (SELECT coalesce(sum(hashtextextended(p.key || ' ' || i.egress::text, 0)), 0)::text
        FROM berth_installations i JOIN berth_pools p ON p.key IN (i.pool_key, i.next_pool_key)
        WHERE i.egress IS NOT NULL AND p.tenant_id IS NOT NULL) AS egress,
      ${versionOf("berth_keys WHERE revoked_at IS NULL")} AS keys,
      ${versionOf("berth_tenants WHERE disk_bytes_max IS NOT NULL OR calls_max IS NOT NULL")} AS quotas,
      (SELECT coalesce(string_agg(id, ' ' ORDER BY id), '') FROM berth_processes
        WHERE expires_at > clock_timestamp()) AS processes,
      EXISTS (SELECT 1 FROM berth_tasks WHERE ${CLAIMABLE}) AS tasks,
      EXISTS (SELECT 1 FROM berth_debug_connections c WHERE ${UNATTENDED}) AS "debugConnections",
      EXISTS (SELECT 1 FROM berth_disk_runs WHERE finished_at IS NULL) AS "diskRuns",
      EXISTS (SELECT 1 FROM install_tasks t WHERE ${ABANDONED} OR status = 'success') AS "shownTasks",
      EXISTS (SELECT 1 FROM berth_upgrades_due) AS upgrades,
      EXISTS (SELECT 1 FROM berth_takeovers) OR EXISTS (SELECT 1 FROM plugin_installations i WHERE ${ADOPTABLE})
        OR EXISTS (SELECT 1 FROM install_tasks t WHERE ${DAEMON_TASKS}) AS takeover`;
  if (marks === undefined) throw new Error("the database did not answer the marks");
  return marks;
}
