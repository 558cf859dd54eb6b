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
import {
  acceptedResponse,
  getInstallation,
  IdempotencyHeader,
  InstallationParams,
  idempotencyClaim,
} from "./parts.ts";

/** Every route that changes an installation. */
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
    .meta({ description: "Even where other installations need its current version" }),
});

export interface ChangeRouteDeps {
  readonly store: Pick<Store, "installations">;
  readonly changes: InstallationChanges;
  readonly invoker: Pick<Invoker, "refresh">;
}

export interface ChangeRoute<B extends z.ZodType> {
  readonly name: string;
  /** Below the installation: `/restart`; empty for a PATCH of it. */
  readonly path: string;
  readonly summary: string;
  readonly body?: B;
  /** It is refused where other installations need the current version, unless it is forced. */
  readonly isForceable?: boolean;
  readonly faults?: readonly FaultCode[];
  readonly accept: (
    changes: InstallationChanges,
    request: ChangeRequest,
    body: z.output<B>,
  ) => Promise<Accepted>;
}

/** What the routes of all changes to an installation share. */
function addChange<B extends z.ZodType>(
  routes: Routes,
  { store, changes, invoker }: ChangeRouteDeps,
  { name, path, summary, body, isForceable = false, faults = [], accept }: ChangeRoute<B>,
): void {
  const method = path === "" ? "patch" : "post";
  routes.add(
    {
      name,
      method,
      path: `/v1/tenants/{tenant}/installations/{id}${path}`,
      tag: "installations",
      summary,
      access: { opens: "tenant", scope: "installations:write" },
      params: InstallationParams,
      ...(body !== undefined && { body }),
      ...(isForceable && { query: ForceQuery }),
      headers: IdempotencyHeader,
      answers: { 202: { description: "Accepted", content: { "application/json": AcceptedSchema } } },
      faults: ["installation_not_found", "conflict", "idempotency_mismatch", ...faults],
    },
    async ({ params, body: given, principal, by, header, request: { url } }) => {
      const { id } = await getInstallation(store, params);
      const text = body === undefined ? "" : JSON.stringify(given);
      const idempotency = idempotencyClaim(principal.keyId, header("idempotency-key"), {
        method: method.toUpperCase(),
        url,
        text,
      });
      const request: ChangeRequest = {
        id,
        by,
        asTenant: principal.tenantId !== undefined,
        force: new URL(url).searchParams.get("force") === "true",
        ...(idempotency !== undefined && { idempotency }),
      };
      const accepted = await accept(changes, request, given as z.output<B>);
      // polling would see it too, but later
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

// The handler checks it: errors name the operator's ceiling, which a schema does not know.
const LimitsBody = z.strictObject({
  limits: z.unknown().meta({
    ...z.toJSONSchema(Limits, { io: "input" }),
    description: "Up to the operator's ceiling. A limit that is left out stays; null undoes a choice",
  }),
});

function addUpdateInstallation(routes: Routes, deps: ChangeRouteDeps): void {
  addChange(routes, deps, {
    name: "changeLimits",
    path: "",
    summary:
      "Changes the limits, in the running container or with a new one; `task.applied` says which. If it fails, nothing changes.",
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
    .meta({ description: "Sets the signature policy to `require` for this upgrade" }),
});

function addUpgradeInstallation(routes: Routes, deps: ChangeRouteDeps): void {
  addChange(routes, deps, {
    name: "upgradePlugin",
    path: "/upgrade",
    summary:
      "Switches to another package of the same plugin. The current one serves until the new one has passed its start probe.",
    body: UpgradeBody,
    isForceable: true,
    faults: ["dependency_in_use", "package_not_found", "invalid_json", "unsupported_media_type"],
    accept: (changes, request, { identifier, verifySignature = false }) =>
      changes.upgrade({ ...request, identifier, verifySignature }),
  });
}

function addRollbackInstallation(routes: Routes, deps: ChangeRouteDeps): void {
  addChange(routes, deps, {
    name: "rollBackPlugin",
    path: "/rollback",
    summary: "Switches to the previous version, from its own image; repeat to switch back.",
    isForceable: true,
    faults: ["dependency_in_use"],
    accept: (changes, request) => changes.rollback(request),
  });
}

function addRestartInstallation(routes: Routes, deps: ChangeRouteDeps): void {
  addChange(routes, deps, {
    name: "restartPlugin",
    path: "/restart",
    summary: "Replaces the running containers, which drain first. Ends `crash_loop`.",
    faults: ["plugin_disabled", "forbidden"],
    accept: (changes, request) => changes.restart(request),
  });
}

function addEnableInstallation(routes: Routes, deps: ChangeRouteDeps): void {
  addChange(routes, deps, {
    name: "enablePlugin",
    path: "/enable",
    summary: "Enables a disabled installation. If its start fails, it stays disabled and shows the cause.",
    accept: (changes, request) => changes.enable(request),
  });
}

function addDisableInstallation(routes: Routes, deps: ChangeRouteDeps): void {
  addChange(routes, deps, {
    name: "disablePlugin",
    path: "/disable",
    summary: "Disables an installation: calls are refused, containers drain and stop. Everything else stays.",
    accept: (changes, request) => changes.disable(request),
  });
}
