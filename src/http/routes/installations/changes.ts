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
import { acceptedResponse, getInstallation, InstallationParams, idempotencyClaim } from "./parts.ts";

/** Every change of what is installed. */
export function addChanges(routes: Routes, deps: ChangeRouteDeps): void {
  addUpdateInstallation(routes, deps);
  addUpgradeInstallation(routes, deps);
  addRollbackInstallation(routes, deps);
  addRestartInstallation(routes, deps);
  addEnableInstallation(routes, deps);
  addDisableInstallation(routes, deps);
}

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

/** What all changes of an Installation have in common at the door. */
function addChange<B extends z.ZodType>(
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

const Limit = z.int().nullable().optional();

const Limits = z.object({
  memory_bytes: Limit,
  storage_bytes: Limit,
  cpu_millis: Limit,
  pids_max: Limit,
  concurrency_max: Limit,
  timeout_ms: Limit,
  replicas_min: Limit,
  replicas_max: Limit,
});

// What is wrong in it is said with the operator's ceiling beside it, which no schema knows.
const LimitsBody = z.strictObject({
  limits: z.unknown().meta({
    ...z.toJSONSchema(Limits, { io: "input" }),
    description: "Up to the operator's ceiling; what is not named stays, null takes a choice back",
  }),
});

function addUpdateInstallation(routes: Routes, deps: ChangeRouteDeps): void {
  addChange(routes, deps, {
    path: "",
    summary:
      "Changes its limits, in the container that runs or with a new one; `task.applied` says which. What cannot be had changes nothing.",
    body: LimitsBody,
    faults: ["invalid_json", "unsupported_media_type"],
    accept: (changes, request, { limits }) => changes.limits({ ...request, limits }),
  });
}

const UpgradeBody = z.strictObject({
  identifier: z
    .string()
    .min(1)
    .max(300)
    .meta({ description: "Another uploaded package of the same plugin, newer or older" }),
  verifySignature: z
    .boolean()
    .optional()
    .meta({ description: "Makes the signature policy `require` for this upgrade" }),
});

function addUpgradeInstallation(routes: Routes, deps: ChangeRouteDeps): void {
  addChange(routes, deps, {
    path: "/upgrade",
    summary:
      "Moves it to another package of its plugin. What is installed serves until the new one has passed its start probe.",
    body: UpgradeBody,
    isForceable: true,
    faults: ["dependency_in_use", "package_not_found", "invalid_json", "unsupported_media_type"],
    accept: (changes, request, { identifier, verifySignature = false }) =>
      changes.upgrade({ ...request, identifier, verifySignature }),
  });
}

function addRollbackInstallation(routes: Routes, deps: ChangeRouteDeps): void {
  addChange(routes, deps, {
    path: "/rollback",
    summary: "Back to the version before, from its own image; again, and it returns.",
    isForceable: true,
    faults: ["dependency_in_use"],
    accept: (changes, request) => changes.rollback(request),
  });
}

function addRestartInstallation(routes: Routes, deps: ChangeRouteDeps): void {
  addChange(routes, deps, {
    path: "/restart",
    summary: "A new container in place of the old one, which ends with its last call. Ends `crash_loop`.",
    faults: ["plugin_disabled", "forbidden"],
    accept: (changes, request) => changes.restart(request),
  });
}

function addEnableInstallation(routes: Routes, deps: ChangeRouteDeps): void {
  addChange(routes, deps, {
    path: "/enable",
    summary: "Starts a disabled one again. Where that fails it stays disabled, and shows why.",
    accept: (changes, request) => changes.enable(request),
  });
}

function addDisableInstallation(routes: Routes, deps: ChangeRouteDeps): void {
  addChange(routes, deps, {
    path: "/disable",
    summary: "Calls are refused from now on; containers stop with their last call. Everything else stays.",
    accept: (changes, request) => changes.disable(request),
  });
}
