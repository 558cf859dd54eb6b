/** Accepting an install from a source: at once where its package is here already, else as a task that fetches it. */
import { z } from "zod";
import type { Actor } from "../../domain/audit.ts";
import type { TenantId } from "../../domain/ids.ts";
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
});

/** As for an install of what is here, but for the source in the identifier's place. */
export interface FetchRequest {
  readonly source: Source;
  readonly tenantId: TenantId;
  readonly asTenant: boolean;
  readonly verifySignature?: boolean | undefined;
  readonly idempotency?: IdempotencyClaim;
  readonly by?: Actor;
}

export interface FetchDeps {
  readonly store: Store;
  readonly queue: Queue;
  readonly log: Log;
}

/**
 * A key's answer is of one kind: a repetition finds the package that was missing the first time, and must get the first
 * answer all the same. So requests with a key are tasks in any case, which then have nothing to fetch.
 */
export async function acceptFetch(
  deps: FetchDeps,
  request: FetchRequest,
  install: (identifier: string) => Promise<Accepted>,
): Promise<Accepted | TaskAccepted> {
  const { source, verifySignature, tenantId, asTenant, idempotency, by } = request;
  const known = source.type === "marketplace" ? source.identifier : undefined;
  if (
    known !== undefined &&
    idempotency === undefined &&
    (await mayHave(deps.store, { ...request, identifier: known }))
  )
    return await install(known);
  const accepted = await deps.store.tasks.accept({
    ...{ kind: "fetch", tenantId },
    input: {
      source,
      ...(verifySignature === undefined ? {} : { verifySignature }),
      ...(asTenant && { asTenant }),
    },
    ...(known === undefined ? {} : { identifier: known }),
    ...(idempotency === undefined ? {} : { idempotency }),
    ...(by === undefined ? {} : { by }),
  });
  await enqueueTask(deps, accepted);
  return accepted;
}

/** Another tenant's package is not the caller's for knowing its identifier; what the marketplace gave is everybody's. */
export async function mayHave(
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

/** Where an Installation of this source says that it came from. */
export function originOf(source: Source): {
  readonly source: string;
  readonly meta: Record<string, unknown>;
} {
  return { source: source.type, meta: { ...sourceMeta(source) } };
}
