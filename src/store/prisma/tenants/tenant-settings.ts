import type { TenantRows } from "../../contracts/tenants.ts";
import type { Database } from "../client/database.ts";
import { holdKey, holdTenant, writeEvent } from "./audit.ts";

export function createTenantSettings(db: Database): Pick<TenantRows, "settings" | "setSettings"> {
  return {
    settings: (id) =>
      db.run(async (prisma) => ({
        upgrade: (await prisma.tenant.findUnique({ where: { id } }))?.autoUpgrade ?? false,
      })),
    setSettings: (tenantId, { upgrade }, by) =>
      db.transaction(async (tx) => {
        await holdTenant(tx, tenantId);
        await holdKey(tx, by);
        await tx.tenant.update({ where: { id: tenantId }, data: { autoUpgrade: upgrade } });
        const subject = `upgrade=${upgrade}`;
        await writeEvent(tx, { kind: "tenant.settings", ...{ by, tenantId, subject, result: "done" } });
      }),
  };
}
