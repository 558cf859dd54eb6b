import { z } from "zod";
import { Fault } from "../../../domain/fault.ts";
import { InstallationId, TenantId } from "../../../domain/ids.ts";
import type { Installation } from "../../../domain/installation.ts";
import type { Store } from "../../../store/store.ts";

export const InstallationParams = z.object({ tenant: TenantId, id: InstallationId });

/** Throws `installation_not_found`, also for an installation of another tenant. */
export async function getInstallation(
  store: Pick<Store, "installations">,
  { tenant, id }: z.output<typeof InstallationParams>,
): Promise<Installation> {
  const installation = await store.installations.find(id);
  if (installation !== undefined && installation.tenantId === tenant) return installation;
  throw installationNotFound(id);
}

export function installationNotFound(id: string): Fault {
  return new Fault("installation_not_found", `The tenant has no installation ${id}.`, {
    details: { field: "id", value: id, accepted: "the id of an installation of this tenant" },
  });
}
