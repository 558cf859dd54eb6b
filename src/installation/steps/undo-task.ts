/**
 * The end of a task that did not come to its aim: first what it has made is undone, then it ends. What is below it is
 * cancelled, what is there for it alone is uninstalled; what others need stays with them. How it ends is noted before
 * anything is undone, so that a worker which takes over goes on with that, and does not begin to install again.
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

/** Resolves with how it has ended, once it has; throws `waitsFor` what has to end before. */
export async function undoTask(
  deps: UndoTaskDeps,
  { task, journal, ending }: Undoing,
): Promise<TaskEnding["state"]> {
  const { store } = deps;
  const children = await store.tasks.children(task.id);
  const held = await store.dependencies.heldBy(task.id);
  // What is below a batch was asked for by itself: it stays, whatever becomes of the others.
  const isKept = held.length === 0 || task.kind === "batch";
  const isAlone = isKept && children.every(({ state }) => isTaskEnded(state));
  if (isAlone) return await end(deps, { task, journal, ending });
  const noted = await store.tasks.setEnding(task.id, task.attempt, ending);
  if (task.ending === undefined) journal.progress(`undoing what it has made: ${noted.cause.message}`);
  await journal.flush();
  await cancelChildren(deps, task, children);
  await dropNeeds(deps, task);
  // What somebody asked to be fetched and installed shows why it failed, as any other install does.
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
  // One that has ended meanwhile makes this be looked at again at once.
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

/** Whoever is kept keeps what it needs: so it is asked about first. */
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

/** What its Installation was to need; what it needs with the Package that it has stays. */
async function dropNeeds({ store }: UndoTaskDeps, { installationId, identifier }: Task): Promise<void> {
  if (installationId === undefined || identifier === undefined) return;
  const installation = await store.installations.find(installationId);
  const has =
    installation?.identifier === identifier && (await store.installations.isPublished(installationId));
  if (!has) await store.dependencies.drop(installationId, identifier);
}

/** A cancelled install leaves nothing: what it was to bring is uninstalled. Its task has ended in the same moment. */
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
