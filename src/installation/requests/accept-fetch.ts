/** Accepts an install from a source: at once where its package is stored already, else as a task that fetches it. */
import { z } from "zod";
import type { Actor } from "../../domain/audit.ts";
import type { TenantId } from "../../domain/ids.ts";
import { PermissionsChosen } from "../../domain/permission.ts";
import { Source, sourceMeta } from "../../domain/source.ts";
import type { Log } from "../../observe/log.ts";
import type { Queue } from "../../queue/queue.ts";
import type { Accepted, IdempotencyClaim } from "../../store/contracts/answers.ts";
import type { TaskAccepted } from "../../store/contracts/tasks.ts";
import type { Store } from "../../store/store.ts";
import { enqueueTask } from "../task-engine/enqueue-task.ts";

/** The input of a `fetch` task. */
export const FetchInput = z.object({
  source: Source,
  verifySignature: z.boolean().optional(),
  asTenant: z.literal(true).optional(),
  permissions: PermissionsChosen.optional(),
});

/** Like a request for an install, with a source in place of the identifier. */
export interface FetchRequest {
  readonly source: Source;
  readonly tenantId: TenantId;
  readonly asTenant: boolean;
  readonly verifySignature?: boolean | undefined;
  readonly permissions?: PermissionsChosen | undefined;
  readonly idempotency?: IdempotencyClaim;
  readonly by?: Actor;
}

export interface FetchDeps {
  readonly store: Store;
  readonly queue: Queue;
  readonly log: Log;
}

/**
 * A repeated request with an idempotency key must get its first answer, although the package that was missing then is
 * stored by now. So a request with a key becomes a `fetch` task in any case, which may have nothing to fetch.
 */
export async function acceptFetch(
  deps: FetchDeps,
  request: FetchRequest,
  install: (identifier: string) => Promise<Accepted>,
): Promise<Accepted | TaskAccepted> {
  const { source, verifySignature, permissions, tenantId, asTenant, idempotency, by } = request;
  const known = source.type === "marketplace" ? source.identifier : undefined;
  if (
    known !== undefined &&
    idempotency === undefined &&
    (await mayInstall(deps.store, { ...request, identifier: known }))
  )
    return await install(known);
  const accepted = await deps.store.tasks.accept({
    kind: "fetch",
    tenantId,
    input: {
      source,
      ...(verifySignature === undefined ? {} : { verifySignature }),
      ...(asTenant && { asTenant }),
      ...(permissions !== undefined && { permissions }),
    },
    ...(known === undefined ? {} : { identifier: known }),
    ...(idempotency === undefined ? {} : { idempotency }),
    ...(by === undefined ? {} : { by }),
  });
  await enqueueTask(deps, accepted);
  return accepted;
}

/**
 * Whether the package is stored and the caller may install it. Knowing the identifier of another tenant's package is not
 * enough; a package of the marketplace is open to all.
 */
export async function mayInstall(
  { packages }: Pick<Store, "packages">,
  {
    identifier,
    tenantId,
    asTenant,
  }: Pick<FetchRequest, "tenantId" | "asTenant"> & { readonly identifier: string },
): Promise<boolean> {
  if ((await packages.find(identifier)) === undefined) return false;
  return (
    !asTenant ||
    (await packages.isVisibleTo(identifier, tenantId)) ||
    (await packages.isFromMarketplace(identifier))
  );
}

/** The origin that an installation from this source shows. */
export function originOf(source: Source): {
  readonly source: string;
  readonly meta: Record<string, unknown>;
} {
  return { source: source.type, meta: { ...sourceMeta(source) } };
}
