/** Changes of installations that callers request: each is accepted once its task is written. */
import type { Actor } from "../../domain/audit.ts";
import { Fault, installationNotFound, invalidInput } from "../../domain/fault.ts";
import type { InstallationId, TenantId } from "../../domain/ids.ts";
import type { Installation } from "../../domain/installation.ts";
import { grantWanted, type LimitsPolicy } from "../../domain/limits.ts";
import { planLimits } from "../../domain/limits-applied.ts";
import type { Pool } from "../../domain/runtime.ts";
import type { Accepted, IdempotencyClaim } from "../../store/contracts/answers.ts";
import type { AcceptChange } from "../../store/contracts/installations.ts";
import type { Store } from "../../store/store.ts";
import { assertStillFits } from "../dependencies/still-fits.ts";
import { visiblePackage } from "../packages/visible-package.ts";
import { type AcceptChangeDeps, acceptChange } from "./accept-tasks.ts";
import { acceptUploadedUpgrades, type DueUpgrades } from "./due-upgrades.ts";
import { assertOwn, assertReplicas, containersOf, mergeLimits, parseLimits } from "./limits-patch.ts";

export interface ChangeRequest {
  readonly id: InstallationId;
  /** True for a tenant's key, which must not change what other tenants share. */
  readonly asTenant: boolean;
  /** True allows a version that does not fit the plugins that need it. */
  readonly force?: boolean;
  readonly idempotency?: IdempotencyClaim;
  readonly by?: Actor;
}

/** Each resolves once the change is accepted, and throws as `acceptChange` of the store does. */
export interface InstallationChanges {
  /**
   * Changes to another package of the same plugin, newer or older. Throws `package_not_found`, `invalid_input`, and,
   * unless forced, `dependency_in_use` where others need another version; so does `rollback`.
   */
  upgrade(
    request: ChangeRequest & { readonly identifier: string; readonly verifySignature?: boolean },
  ): Promise<Accepted>;
  rollback(request: ChangeRequest): Promise<Accepted>;
  /** Throws `forbidden` where other tenants share the containers. */
  restart(request: ChangeRequest): Promise<Accepted>;
  enable(request: ChangeRequest): Promise<Accepted>;
  disable(request: ChangeRequest): Promise<Accepted>;
  /** `limits` is the unchecked input; the task keeps how they are to be applied. Throws `invalid_input`. */
  limits(request: ChangeRequest & { readonly limits: unknown }): Promise<Accepted>;
  /** Accepts the automatic upgrades to an uploaded package, and answers those of one tenant or of all. Never throws. */
  due(identifier: string, tenantId?: TenantId): Promise<DueUpgrades>;
}

export interface InstallationChangesDeps extends AcceptChangeDeps {
  readonly limits: LimitsPolicy;
}

export function createInstallationChanges(deps: InstallationChangesDeps): InstallationChanges {
  const accept = (request: ChangeRequest, change: Pick<AcceptChange, "kind" | "identifier" | "input">) => {
    const { id, idempotency, by } = request;
    return acceptChange(deps, {
      id,
      ...change,
      ...(idempotency === undefined ? {} : { idempotency }),
      ...(by === undefined ? {} : { by }),
    });
  };
  return {
    upgrade: async (request) => {
      const { identifier, verifySignature = false } = request;
      await assertSamePlugin(deps, request);
      await assertOthersGoOn(deps, request, () => identifier);
      const input = verifySignature ? { verifySignature } : {};
      return await accept(request, { kind: "upgrade", identifier, input });
    },
    rollback: async (request) => {
      await assertOthersGoOn(deps, request, ({ previousIdentifier }) => previousIdentifier);
      return await accept(request, { kind: "rollback" });
    },
    restart: async (request) => {
      if (request.asTenant && (await isShared(deps, request.id)))
        throw new Fault(
          "forbidden",
          "The plugin runs in a shared pool, which only the operator may restart.",
        );
      return await accept(request, { kind: "restart" });
    },
    enable: (request) => accept(request, { kind: "enable" }),
    disable: (request) => accept(request, { kind: "disable" }),
    limits: async (request) => {
      const limits = parseLimits(request.limits, deps.limits.ceiling);
      const installation = await getInstallation(deps.store, request.id);
      const containers = containersOf(installation, await poolOf(deps, installation));
      if (containers === "shared") assertOwn(limits);
      const wanted = mergeLimits(installation.limitsWanted, limits);
      const next = grantWanted(installation.limitsAsked, wanted, deps.limits).limits;
      assertReplicas(limits, next, deps.limits.ceiling);
      const limitsApplied = planLimits(installation.limitsGranted, next, containers);
      return await accept(request, { kind: "limits", input: { limits, limitsApplied } });
    },
    due: (identifier, tenantId) => acceptUploadedUpgrades(deps, { identifier, tenantId }),
  };
}

async function assertSamePlugin(
  { store }: InstallationChangesDeps,
  { id, identifier, asTenant }: ChangeRequest & { readonly identifier: string },
): Promise<void> {
  const { tenantId, pluginId } = await getInstallation(store, id);
  const pkg = await visiblePackage(store, { identifier, tenantId, asTenant });
  if (pkg.pluginId === pluginId) return;
  throw invalidInput("identifier", identifier, `a package of ${pluginId}`);
}

async function assertOthersGoOn(
  { store }: InstallationChangesDeps,
  { id, force = false }: ChangeRequest,
  next: (installation: Installation) => string | undefined,
): Promise<void> {
  if (force) return;
  const installation = await getInstallation(store, id);
  const identifier = next(installation);
  if (identifier !== undefined) await assertStillFits(store, installation, identifier);
}

async function isShared(deps: InstallationChangesDeps, id: InstallationId): Promise<boolean> {
  const pool = await poolOf(deps, await getInstallation(deps.store, id));
  return pool !== undefined && pool.tenantId === undefined;
}

async function poolOf(
  { store }: InstallationChangesDeps,
  { poolKey }: Installation,
): Promise<Pool | undefined> {
  return poolKey === undefined ? undefined : await store.pools.find(poolKey);
}

async function getInstallation(store: Store, id: InstallationId): Promise<Installation> {
  const found = await store.installations.find(id);
  if (found !== undefined) return found;
  throw installationNotFound(id);
}
