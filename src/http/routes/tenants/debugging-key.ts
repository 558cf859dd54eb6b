import { z } from "zod";
import type { DebuggingKeys } from "../../../debug/debugging-keys.ts";
import { Fault } from "../../../domain/fault.ts";
import type { Routes } from "../../route.ts";
import { TenantParams } from "../../schemas.ts";

/** The port for plugins that their authors run. */
export interface DebugDoor {
  readonly keys: Pick<DebuggingKeys, "issue">;
  readonly host: string;
  readonly port: number;
  readonly isTls: boolean;
}

const Key = z.object({
  key: z.string(),
  host: z.string().meta({ description: "Where the debug port listens, as the operator has set it" }),
  port: z.number(),
  tls: z.boolean().meta({ description: "True: the port accepts TLS only" }),
  expires_at: z.iso.datetime(),
});

/** The key with which authors connect plugins of a tenant. Where there is no debug port, `not_found`. */
export function addDebuggingKey(routes: Routes, { debug }: { readonly debug: DebugDoor | undefined }): void {
  routes.add(
    {
      method: "post",
      path: "/v1/tenants/{tenant}/debugging-key",
      name: "issueDebuggingKey",
      tag: "tenants",
      summary: "Returns the tenant's key for the debug port, valid for two hours from now on.",
      access: { opens: "tenant", scope: "installations:write" },
      params: TenantParams,
      answers: { 200: { description: "The key", content: { "application/json": Key } } },
      faults: ["not_found", "conflict"],
    },
    async ({ params, by }) => {
      if (debug === undefined)
        throw new Fault("not_found", "There is no debug port: set BERTH_DEBUG_PORT to open one.");
      const { key, expiresAt } = await debug.keys.issue(params.tenant, by);
      const { host, port, isTls } = debug;
      return Response.json({ key, host, port, tls: isTls, expires_at: expiresAt.toISOString() });
    },
  );
}
