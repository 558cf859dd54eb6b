/**
 * The end of a task that failed or was cancelled: its work is undone first, then it ends. Tasks below it are cancelled,
 * and what it installed for itself alone is uninstalled; what others need stays. The ending is written before anything
 * is undone, so that a worker which takes over continues to undo, and does not install again.
 */
import { isFault } from "../../domain/fault.ts";
import type { InstallationId } from "../../domain/ids.ts";
import { isTaskEnded, type Task, type TaskEnding } from "../../domain/task.ts";
import type { Log } from "../../observe/log.ts";
import type { Queue } from "../../queue/queue.ts";
import type { Store } from "../../store/store.ts";
import { cancelTask } from "../task-engine/cancel-task.ts";
import { enqueueTask } from "../task-engine/enqueue-task.ts";
import type { Undoing } from "../task-engine/steps.ts";
import { waitsFor } from "../task-engine/task-waits.ts";
import { installationTopic } from "../task-engine/topics.ts";

export interface UndoTaskDeps {
  readonly store: Store;
  readonly queue: Queue;
  readonly log: Log;
}

/** Resolves with the state in which the task has ended; throws `waitsFor` the tasks that have to end first. */
export async function undoTask(
  deps: UndoTaskDeps,
  { task, journal, ending }: Undoing,
): Promise<TaskEnding["state"]> {
  const { store } = deps;
  const children = await store.tasks.children(task.id);
  const held = await store.dependencies.heldBy(task.id);
  // The items of a batch are independent requests: each stays, whatever happens to the others.
  const isKept = held.length === 0 || task.kind === "batch";
  const isAlone = isKept && children.every(({ state }) => isTaskEnded(state));
  if (isAlone) return await end(deps, { task, journal, ending });
  const noted = await store.tasks.setEnding(task.id, task.attempt, ending);
  if (task.ending === undefined) journal.progress(`undoing its work: ${noted.cause.message}`);
  await journal.flush();
  await cancelChildren(deps, task, children);
  await dropNeeds(deps, task);
  // A failed fetch that was requested by itself keeps its installation, which shows the cause like any other install.
  const showsFailure = task.kind === "fetch" && task.parentId === undefined && noted.state === "failed";
  if (!showsFailure && task.kind !== "batch") await dropHolds(deps, { task, journal, children, held });
  await store.dependencies.release(task.id);
  return await end(deps, { task, journal, ending: noted });
}

async function cancelChildren(deps: UndoTaskDeps, task: Task, children: readonly Task[]): Promise<void> {
  const ending: Task[] = [];
  for (const child of children) {
    if (isTaskEnded(child.state)) continue;
    if (child.kind === "uninstall") ending.push(child);
    else if (!(await isForOthers(deps, task, child))) {
      await cancelTask(deps, child.id).catch(hasEnded);
      ending.push(child);
    }
  }
  // Where one has ended meanwhile, this runs again at once.
  if (ending.length > 0) throw waitsFor(ending);
}

function hasEnded(error: unknown): undefined {
  if (isFault(error, "conflict")) return undefined;
  throw error;
}

async function isForOthers({ store }: UndoTaskDeps, task: Task, child: Task): Promise<boolean> {
  if (child.installationId === undefined || child.kind === "upgrade") return false;
  const holders = await store.dependencies.holdersOf(child.installationId);
  return holders.some((id) => id !== task.id) || !holders.includes(task.id);
}

async function dropHolds(
  deps: UndoTaskDeps,
  { task, journal, children, held }: Omit<Undoing, "ending"> & TaskTies,
): Promise<void> {
  const removals: Task[] = [];
  for (const id of await dependentsFirst(deps, held)) {
    const failed = children.find((child) => isFailedRemoval(child, id));
    if (failed !== undefined) {
      journal.warning(`${failed.identifier} could not be uninstalled: ${failed.cause?.message}`);
      continue;
    }
    const result = await deps.store.dependencies.dropHold(task.id, id);
    if (result.outcome !== "removing") continue;
    const { removal } = result;
    if (removal.created) journal.progress(`uninstalling ${removal.installation.identifier}`);
    await deps.queue.publish(installationTopic(id), "removed").catch(() => undefined);
    await enqueueTask(deps, removal);
    removals.push(removal.task);
  }
  await journal.flush();
  if (removals.length > 0) throw waitsFor(removals);
}

interface TaskTies {
  readonly children: readonly Task[];
  readonly held: readonly InstallationId[];
}

function isFailedRemoval(child: Task, id: InstallationId): boolean {
  return child.kind === "uninstall" && child.installationId === id && child.state === "failed";
}

/** An installation that stays keeps its dependencies: so each comes before those that it needs. */
async function dependentsFirst(
  { store }: UndoTaskDeps,
  held: readonly InstallationId[],
): Promise<readonly InstallationId[]> {
  const needing = new Map<InstallationId, ReadonlySet<InstallationId>>();
  for (const id of held) {
    const dependents = await store.dependencies.dependentsOf(id);
    needing.set(id, new Set(dependents.map(({ installationId }) => installationId)));
  }
  const ordered: InstallationId[] = [];
  const left = new Set(held);
  while (left.size > 0) {
    const isFree = (id: InstallationId) => ![...left].some((other) => needing.get(id)?.has(other));
    const free = [...left].find(isFree) ?? [...left][0];
    if (free === undefined) break;
    left.delete(free);
    ordered.push(free);
  }
  return ordered;
}

/** Drops the dependencies of the package that was to be installed; those of the installed one stay. */
async function dropNeeds({ store }: UndoTaskDeps, { installationId, identifier }: Task): Promise<void> {
  if (installationId === undefined || identifier === undefined) return;
  const installation = await store.installations.find(installationId);
  const has =
    installation?.identifier === identifier && (await store.installations.isPublished(installationId));
  if (!has) await store.dependencies.drop(installationId, identifier);
}

/** Ends the task. A cancelled install leaves nothing: accepting the uninstall of its installation ends its task too. */
async function end(deps: UndoTaskDeps, { task, ending }: Undoing): Promise<TaskEnding["state"]> {
  const { store } = deps;
  const installation =
    task.kind === "install" ? await store.installations.find(task.installationId) : undefined;
  const isNew = installation !== undefined && !(await store.installations.isPublished(installation.id));
  if (isNew && ending.state === "cancelled" && installation.desired !== "removed") {
    await store.tasks.setEnding(task.id, task.attempt, ending);
    const removal = await store.installations.acceptUninstall(installation.id, {
      force: true,
      parentId: task.id,
    });
    await enqueueTask(deps, removal);
    return ending.state;
  }
  const markInstallation = installation !== undefined && installation.desired !== "removed";
  await store.tasks.finish(task.id, task.attempt, { ...ending, markInstallation });
  return ending.state;
}
