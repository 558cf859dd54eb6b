/** What all changes of an Installation have in common at the door. */
import { z } from "zod";
import type { FaultCode } from "../../../domain/fault.ts";
import type {
  ChangeRequest,
  InstallationChanges,
} from "../../../installation/requests/installation-changes.ts";
import type { Invoker } from "../../../invocation/invoke.ts";
import type { Accepted } from "../../../store/contracts/answers.ts";
import type { Store } from "../../../store/store.ts";
import type { Routes } from "../../route.ts";
import { AcceptedSchema } from "../../schemas.ts";
import { idempotencyClaim } from "../idempotency.ts";
import { acceptedResponse } from "./accepted.ts";
import { getInstallation, InstallationParams } from "./find.ts";

const ForceQuery = z.strictObject({
  force: z
    .enum(["true", "false"])
    .default("false")
    .meta({ description: "Also where others need the version that it has" }),
});

export interface ChangeRouteDeps {
  readonly store: Pick<Store, "installations">;
  readonly changes: InstallationChanges;
  readonly invoker: Pick<Invoker, "refresh">;
}

export interface ChangeRoute<B extends z.ZodType> {
  /** Below the Installation: `/restart`; empty for a PATCH of it. */
  readonly path: string;
  readonly summary: string;
  readonly body?: B;
  /** It may be kept from it by others that need the version that is there. */
  readonly isForceable?: boolean;
  readonly faults?: readonly FaultCode[];
  readonly accept: (
    changes: InstallationChanges,
    request: ChangeRequest,
    body: z.output<B>,
  ) => Promise<Accepted>;
}

export function addChange<B extends z.ZodType>(
  routes: Routes,
  { store, changes, invoker }: ChangeRouteDeps,
  { path, summary, body, isForceable = false, faults = [], accept }: ChangeRoute<B>,
): void {
  const method = path === "" ? "patch" : "post";
  routes.add(
    {
      method,
      path: `/v1/tenants/{tenant}/installations/{id}${path}`,
      tag: "installations",
      summary,
      access: { opens: "tenant", scope: "installations:write" },
      params: InstallationParams,
      ...(body !== undefined && { body }),
      ...(isForceable && { query: ForceQuery }),
      answers: { 202: { description: "Accepted", content: { "application/json": AcceptedSchema } } },
      faults: ["installation_not_found", "conflict", "idempotency_mismatch", ...faults],
    },
    async ({ params, body: given, principal, by, header, request: { url } }) => {
      const { id } = await getInstallation(store, params);
      const text = body === undefined ? "" : JSON.stringify(given);
      const idempotency = idempotencyClaim(principal.keyId, header("idempotency-key"), {
        ...{ method: method.toUpperCase(), url, text },
      });
      const request: ChangeRequest = {
        ...{ id, by, asTenant: principal.tenantId !== undefined },
        force: new URL(url).searchParams.get("force") === "true",
        ...(idempotency !== undefined && { idempotency }),
      };
      const accepted = await accept(changes, request, given as z.output<B>);
      // the poll would see it too, later
      await invoker.refresh();
      return acceptedResponse(accepted);
    },
  );
}
