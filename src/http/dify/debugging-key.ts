import type { DebugDoor } from "../routes/tenants/debugging-key.ts";
import type { DifyDoor } from "./door.ts";
import { NOTHING } from "./inputs.ts";

/** As with the daemon, the route exists only where there is a debug port. */
export function addDebuggingKeys(door: DifyDoor, { debug }: { readonly debug: DebugDoor | undefined }): void {
  if (debug === undefined) return;
  const path = "/plugin/:tenant_id/debugging/key";
  door.add({ method: "POST", path, gate: "key", input: NOTHING }, async ({ tenantId, by }) => {
    const { key } = await debug.keys.issue(tenantId, by);
    return { key };
  });
}
