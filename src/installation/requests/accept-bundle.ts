import { z } from "zod";
import { Fault } from "../../domain/fault.ts";
import type { Log } from "../../observe/log.ts";
import type { Queue } from "../../queue/queue.ts";
import type { StoredBundle } from "../../store/contracts/bundles.ts";
import type { TaskAccepted } from "../../store/contracts/tasks.ts";
import type { Store } from "../../store/store.ts";
import type { BundleRequest } from "../contracts.ts";
import { NeedsInput } from "../dependencies/install-needs.ts";
import { enqueueTask } from "../task-engine/enqueue-task.ts";

/** The input of a `bundle` task. */
export const BundleInput = NeedsInput.extend({ bundle: z.string() });

export interface BundleDeps {
  readonly store: Store;
  readonly queue: Queue;
  readonly log: Log;
}

/** Accepts the install of everything that an uploaded bundle lists, in one task. Throws `bundle_not_found`. */
export async function acceptBundle(deps: BundleDeps, request: BundleRequest): Promise<TaskAccepted> {
  const { tenantId, asTenant, verifySignature, idempotency, by } = request;
  const { identifier } = await visibleBundle(deps.store, request);
  const accepted = await deps.store.tasks.accept({
    kind: "bundle",
    tenantId,
    identifier,
    input: {
      bundle: identifier,
      ...(asTenant && { asTenant }),
      ...(verifySignature === true && { verifySignature }),
    },
    ...(idempotency === undefined ? {} : { idempotency }),
    ...(by === undefined ? {} : { by }),
  });
  await enqueueTask(deps, accepted);
  return accepted;
}

async function visibleBundle(
  { bundles }: Pick<Store, "bundles">,
  { bundle: identifier, tenantId, asTenant }: BundleRequest,
): Promise<StoredBundle> {
  const found = await bundles.find(identifier);
  if (found !== undefined && (!asTenant || (await bundles.isVisibleTo(identifier, tenantId)))) return found;
  throw bundleNotUploaded(identifier);
}

export function bundleNotUploaded(identifier: string): Fault {
  return new Fault("bundle_not_found", `The bundle ${identifier} has not been uploaded.`, {
    details: { field: "bundle", value: identifier, accepted: "the identifier of an uploaded bundle" },
  });
}
