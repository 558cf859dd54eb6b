import { createHash } from "node:crypto";
import type { TenantId } from "../domain/ids.ts";

/** Key of the Pool that serves an image for one Tenant, or for all of them where `tenantId` is undefined: 16 hex digits. */
export function poolKey(imageKey: string, tenantId: TenantId | undefined): string {
  return createHash("sha256")
    .update(`${imageKey}\n${tenantId ?? "shared"}`)
    .digest("hex")
    .slice(0, 16);
}
