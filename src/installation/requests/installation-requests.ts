import type { z } from "zod";
import { grantLimits, type LimitsPolicy } from "../../domain/limits.ts";
import { platformWarnings } from "../../domain/platform-version.ts";
import type { Log } from "../../observe/log.ts";
import type { Queue } from "../../queue/queue.ts";
import type { StoredPackage } from "../../store/contracts/packages.ts";
import type { Store } from "../../store/store.ts";
import type { InstallationRequests } from "../contracts.ts";
import type { NeedsInput } from "../dependencies/install-needs.ts";
import { visiblePackage } from "../packages/visible-package.ts";
import { cancelTask } from "../task-engine/cancel-task.ts";
import { enqueueTask } from "../task-engine/enqueue-task.ts";
import { checkRepeated } from "../trust/trust-refusals.ts";
import { acceptBundle } from "./accept-bundle.ts";
import { acceptFetch, originOf } from "./accept-fetch.ts";
import { acceptUninstall } from "./accept-tasks.ts";

export interface InstallationRequestsDeps {
  readonly store: Store;
  readonly queue: Queue;
  readonly limits: LimitsPolicy;
  /** The platform's version, where the operator has set it. */
  readonly platformVersion?: string | undefined;
  readonly log: Log;
}

type InstallRequest = Parameters<InstallationRequests["install"]>[0];

/**
 * Accepts requests. A request is accepted once its row is written, whether or not its task could be enqueued: the sweeper
 * enqueues it later. Each throws what the store throws before that.
 */
export function createInstallationRequests(deps: InstallationRequestsDeps): InstallationRequests {
  const install: InstallationRequests["install"] = async (request) => {
    const pkg = await visiblePackage(deps.store, request);
    const accepted = await accept(deps, pkg, request);
    if (request.verifySignature === true) checkRepeated(accepted);
    await enqueueTask(deps, accepted);
    return accepted;
  };
  return {
    install,
    fetch: (request) =>
      acceptFetch(deps, request, (identifier) =>
        install({ ...request, identifier, origin: originOf(request.source) }),
      ),
    bundle: (request) => acceptBundle(deps, request),
    cancel: (id, by) => cancelTask(deps, id, by),
    uninstall: async (id, request) => {
      const accepted = await acceptUninstall(deps, id, request);
      await enqueueTask(deps, accepted);
      return accepted;
    },
  };
}

function accept(deps: InstallationRequestsDeps, pkg: StoredPackage, request: InstallRequest) {
  const granted = grantLimits(pkg.limitsAsked, deps.limits);
  return deps.store.installations.acceptInstall({
    tenantId: request.tenantId,
    pluginId: pkg.pluginId,
    identifier: pkg.identifier,
    limitsAsked: pkg.limitsAsked,
    limitsGranted: granted.limits,
    source: request.origin?.source ?? "package",
    meta: request.origin?.meta ?? {},
    warnings: [...pkg.warnings, ...platformWarnings(pkg.declaration, deps.platformVersion), ...granted.notes],
    input: inputOf(request),
    ...(request.permissions === undefined ? {} : { permissions: request.permissions }),
    ...(request.parentId === undefined ? {} : { parentId: request.parentId }),
    ...(request.idempotency === undefined ? {} : { idempotency: request.idempotency }),
    ...(request.by === undefined ? {} : { by: request.by }),
  });
}

/** `platformSource` is the source that the platform's rows show. */
type InstallInput = z.input<typeof NeedsInput> & { readonly platformSource?: string };

/** The part of the request that applies to the tasks below it too. */
function inputOf({ asTenant, verifySignature, chosen, origin }: InstallRequest): InstallInput {
  const platformSource = origin?.platformSource;
  return {
    ...(asTenant && { asTenant }),
    ...(verifySignature === true && { verifySignature }),
    ...(chosen !== undefined && { chosen: { ...chosen } }),
    ...(platformSource !== undefined && { platformSource }),
  };
}
