/**
 * Installs the dependencies of a package or a bundle, each by a task below the one that needs it. It runs again whenever
 * one of those has ended, finds what is ready and continues with the rest; it resolves once all are ready.
 */
import { z } from "zod";
import { type Actor, BERTH_ITSELF } from "../../domain/audit.ts";
import { Fault, isFault } from "../../domain/fault.ts";
import type { InstallationId } from "../../domain/ids.ts";
import type { Installation } from "../../domain/installation.ts";
import { formatNeed, type PluginNeed } from "../../domain/plugin-need.ts";
import { formatSource, type Source } from "../../domain/source.ts";
import { isTaskEnded, type Task } from "../../domain/task.ts";
import type { Log } from "../../observe/log.ts";
import type { Queue } from "../../queue/queue.ts";
import type { Store } from "../../store/store.ts";
import type { InstallationRequests } from "../contracts.ts";
import { enqueueTask } from "../task-engine/enqueue-task.ts";
import type { TaskJournal } from "../task-engine/task-journal.ts";
import { waitsFor } from "../task-engine/task-waits.ts";
import { type Choice, type PlanRequest, planNeeds } from "./plan.ts";
import { failed } from "./refusals.ts";

/** The part of a task's input that applies to the tasks below it. */
export const NeedsInput = z.object({
  asTenant: z.literal(true).optional(),
  verifySignature: z.boolean().optional(),
  chosen: z.record(z.string(), z.string()).optional(),
});
type NeedsInput = z.infer<typeof NeedsInput>;

export interface InstallNeedsDeps {
  readonly store: Store;
  readonly queue: Queue;
  readonly log: Log;
  readonly requests: InstallationRequests;
}

export interface NeedsContext {
  readonly task: Task;
  readonly journal: TaskJournal;
  readonly root: PlanRequest["root"];
  /** The installation whose dependencies are recorded; undefined for a bundle, which is installed once and needs none later. */
  readonly needing?: { readonly id: InstallationId; readonly identifier: string };
}

/**
 * Throws `waitsFor` the unfinished tasks; `dependency_missing`, `dependency_conflict` and `dependency_cycle` before it
 * starts anything, and `dependency_failed` where a task below failed or was cancelled.
 */
export async function installNeeds(deps: InstallNeedsDeps, context: NeedsContext): Promise<void> {
  const { task, root, journal } = context;
  if (root.needs.length === 0) return;
  const { store } = deps;
  const children = await store.tasks.children(task.id);
  const broken = children.find(({ kind, state }) => kind !== "uninstall" && isBroken(state));
  if (broken !== undefined) throw failed(broken);
  const input = NeedsInput.parse(task.input);
  const { tenantId } = task;
  const asTenant = input.asTenant === true;
  const plan = await planNeeds({ store, tenantId, asTenant, root, chosen: input.chosen ?? {} });
  const step = { ...context, children, input: { ...input, chosen: plan.chosen } };
  const running: Task[] = [];
  for (const { need, choice } of plan.direct) {
    const made = await make(deps, step, choice);
    if (made.running !== undefined) running.push(made.running);
    if (made.id !== undefined) await note(deps, context, { neededId: made.id, need });
  }
  await journal.flush();
  if (running.length > 0) throw waitsFor(running);
}

function isBroken(state: Task["state"]): boolean {
  return state === "failed" || state === "cancelled";
}

interface Step extends NeedsContext {
  readonly children: readonly Task[];
  readonly input: NeedsInput;
}

/** The installation for a need, and the unfinished task that installs it. */
interface Made {
  readonly id?: InstallationId;
  readonly running?: Task | undefined;
}

async function make(deps: InstallNeedsDeps, step: Step, choice: Choice): Promise<Made> {
  switch (choice.kind) {
    case "installed":
      return await use(deps, step, choice.installation);
    case "removing":
      return await afterRemoval(deps, choice.installation);
    case "package":
      return await install(deps, step, choice.pkg.identifier);
    case "source":
      return await fetched(deps, step, choice.source);
    default:
      return choice satisfies never;
  }
}

/** A ready installation is used as it is; another is installed, by its unfinished task where there is one. */
async function use(
  deps: InstallNeedsDeps,
  step: Step,
  { id, state, identifier }: Installation,
): Promise<Made> {
  return state === "installing" || state === "failed" ? await install(deps, step, identifier) : { id };
}

async function afterRemoval({ store }: InstallNeedsDeps, { id, tenantId }: Installation): Promise<Made> {
  const { items } = await store.tasks.list({ tenantId, installationId: id }, { limit: 1 });
  const [removal] = items;
  if (removal === undefined || removal.state === "ready")
    throw new Fault("conflict", "A required plugin has just been uninstalled; retry.");
  return { running: removal };
}

async function install(
  { requests }: InstallNeedsDeps,
  { task, journal, input }: Step,
  identifier: string,
): Promise<Made> {
  const accepted = await requests
    .install({
      tenantId: task.tenantId,
      identifier,
      parentId: task.id,
      by: actorOf(task),
      asTenant: input.asTenant === true,
      ...(input.verifySignature === true && { verifySignature: true }),
      ...(input.chosen && { chosen: input.chosen }),
    })
    .catch(asConflict);
  const { installation, task: running, created } = accepted;
  if (created) journal.progress(`installing the dependency ${identifier}`);
  return { id: installation.id, running: isTaskEnded(running.state) ? undefined : running };
}

/** Since the plan was made another task has started to install another version. */
function asConflict(error: unknown): never {
  if (!isFault(error, "conflict")) throw error;
  throw new Fault("dependency_conflict", error.message, { details: error.details, cause: error });
}

async function fetched(deps: InstallNeedsDeps, step: Step, source: Source): Promise<Made> {
  const { task, journal, children, input } = step;
  const { asTenant, verifySignature } = input;
  const known = children.find((child) => child.kind === "fetch" && isOf(child, source));
  if (known === undefined) {
    const accepted = await deps.store.tasks.accept({
      kind: "fetch",
      tenantId: task.tenantId,
      parentId: task.id,
      by: actorOf(task),
      // With the parent's id: two tasks that need the same have a fetch each, and both get the same package.
      input: {
        source,
        parent: task.id,
        ...(asTenant && { asTenant }),
        ...(verifySignature === true && { verifySignature }),
      },
      ...(source.type === "marketplace" && { identifier: source.identifier }),
    });
    await enqueueTask(deps, accepted);
    if (accepted.created) journal.progress(`fetching the dependency ${formatSource(source)}`);
    return { running: accepted.task };
  }
  if (!isTaskEnded(known.state)) return { running: known };
  const [below] = await deps.store.tasks.children(known.id);
  return below?.installationId === undefined ? {} : { id: below.installationId };
}

function isOf({ input }: Task, source: Source): boolean {
  const known = Object.entries(Object(input["source"]));
  return known.length > 0 && known.every(([key, value]) => Object(source)[key] === value);
}

async function note(
  { store }: InstallNeedsDeps,
  { task, needing }: NeedsContext,
  { neededId, need }: { readonly neededId: InstallationId; readonly need: PluginNeed },
): Promise<void> {
  if (needing === undefined) return;
  const { id: needingId, identifier } = needing;
  await store.dependencies
    .add({ tenantId: task.tenantId, needingId, identifier, neededId, need })
    .catch((error) => {
      if (!isFault(error, "conflict")) throw error;
      throw new Fault("dependency_failed", error.message, {
        details: { value: formatNeed(need) },
        cause: error,
      });
    });
}

function actorOf(task: Task): Actor {
  return { ...BERTH_ITSELF, requestId: task.id };
}
