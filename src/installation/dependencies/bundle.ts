import { z } from "zod";
import { Fault } from "../../domain/fault.ts";
import type { TaskStep, TenantTask } from "../../domain/task.ts";
import type { Log } from "../../observe/log.ts";
import type { Queue } from "../../queue/queue.ts";
import type { StoredBundle } from "../../store/contracts/bundles.ts";
import type { TaskAccepted } from "../../store/contracts/tasks.ts";
import type { Store } from "../../store/store.ts";
import type { BundleRequest } from "../contracts.ts";
import { enqueueTask } from "../task-engine/enqueue-task.ts";
import type { TaskJournal } from "../task-engine/task-journal.ts";
import { type InstallNeedsDeps, installNeeds, NeedsInput } from "./install-needs.ts";

/** The input of a `bundle` task. */
const BundleInput = NeedsInput.extend({ bundle: z.string() });

export interface BundleDeps {
  readonly store: Store;
  readonly queue: Queue;
  readonly log: Log;
}

/** Accepts the install of all that an uploaded bundle lists. Throws `bundle_not_found`. */
export async function acceptBundle(deps: BundleDeps, request: BundleRequest): Promise<TaskAccepted> {
  const { tenantId, asTenant, verifySignature, idempotency, by } = request;
  const { identifier } = await visibleBundle(deps.store, request);
  const accepted = await deps.store.tasks.accept({
    ...{ kind: "bundle", tenantId, identifier },
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
  throw notUploaded(identifier);
}

function notUploaded(identifier: string): Fault {
  return new Fault("bundle_not_found", `The bundle ${identifier} has not been uploaded.`, {
    details: { field: "bundle", value: identifier, accepted: "the identifier of an uploaded bundle" },
  });
}

/** All that the bundle lists, each by a task below this one; where one of them fails, none stays. */
export async function runBundle(
  deps: InstallNeedsDeps,
  context: {
    readonly task: TenantTask;
    readonly journal: TaskJournal;
    readonly enter: (step: TaskStep) => Promise<void>;
  },
  signal: AbortSignal,
): Promise<void> {
  const { task, journal, enter } = context;
  await enter("resolving");
  const { bundle: identifier } = BundleInput.parse(task.input);
  const bundle = await deps.store.bundles.find(identifier);
  if (bundle === undefined) throw notUploaded(identifier);
  await installNeeds(deps, { task, journal, root: { name: identifier, needs: bundle.dependencies } });
  await journal.flush();
  signal.throwIfAborted();
  await deps.store.tasks.finishReady(task.id, task.attempt);
}
