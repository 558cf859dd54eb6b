import type { TenantTask } from "../../domain/task.ts";
import { type InstallNeedsDeps, installNeeds } from "../dependencies/install-needs.ts";
import { BundleInput, bundleNotUploaded } from "../requests/accept-bundle.ts";
import type { TaskContext } from "../task-engine/steps.ts";

/** Installs everything that the bundle lists, each in a task below this one; where one fails, none stays. */
export async function runBundle(
  deps: InstallNeedsDeps,
  context: TaskContext<TenantTask>,
  signal: AbortSignal,
): Promise<void> {
  const { task, journal, enter } = context;
  await enter("resolving");
  const { bundle: identifier } = BundleInput.parse(task.input);
  const bundle = await deps.store.bundles.find(identifier);
  if (bundle === undefined) throw bundleNotUploaded(identifier);
  await installNeeds(deps, { task, journal, root: { name: identifier, needs: bundle.dependencies } });
  await journal.flush();
  signal.throwIfAborted();
  await deps.store.tasks.finishReady(task.id, task.attempt);
}
