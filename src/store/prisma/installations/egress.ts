import type { EgressPolicy } from "../../../domain/egress.ts";
import { installationNotFound } from "../../../domain/fault.ts";
import type { EgressRows } from "../../contracts/egress.ts";
import type { Database } from "../client/database.ts";
import { holdKey, writeEvent } from "../tenants/audit.ts";

export function createEgressRows(db: Database): EgressRows {
  return {
    find: (id) =>
      db.run(async (prisma) => {
        const row = await prisma.installation.findUnique({ where: { id }, select: { egress: true } });
        return toPolicy(row?.egress);
      }),
    set: (id, policy, by) =>
      db.transaction(async (tx) => {
        await holdKey(tx, by);
        const text = policy === undefined ? null : JSON.stringify(policy);
        const [row] = await tx.$queryRaw<{ tenant: string }[]>`
          UPDATE berth_installations SET egress = ${text}::jsonb, updated_at = clock_timestamp()
          WHERE id = ${id}::uuid RETURNING tenant_id::text AS tenant`;
        if (row === undefined) throw installationNotFound(id);
        const subject =
          policy === undefined ? "default" : `${policy.mode} ${policy.allow.join()}`.slice(0, 255).trim();
        const { tenant: tenantId } = row;
        await writeEvent(tx, {
          kind: "installation.egress",
          by,
          tenantId,
          installationId: id,
          subject,
          result: "done",
        });
      }),
    list: db.watch.remember("egress", () =>
      db.run(async (prisma) => {
        const rows = await prisma.$queryRaw<{ key: string; egress: unknown }[]>`
          SELECT p.key, i.egress FROM berth_installations i JOIN berth_pools p ON p.key IN (i.pool_key, i.next_pool_key)
          WHERE i.egress IS NOT NULL AND p.tenant_id IS NOT NULL`;
        return new Map(
          rows.flatMap(({ key, egress }) => {
            const policy = toPolicy(egress);
            return policy === undefined ? [] : [[key, policy] as const];
          }),
        );
      }),
    ),
  };
}

/** Only `set` writes the column. */
function toPolicy(value: unknown): EgressPolicy | undefined {
  return (value ?? undefined) as EgressPolicy | undefined;
}
