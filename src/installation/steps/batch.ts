/**
 * The steps of a `batch` task: one ordinary install or upgrade below it for each item. None waits for another, and a
 * failed one stops no other. It first looks for what was started before, so that a worker which takes over continues
 * where the last one stopped.
 */
import { type Actor, BERTH_ITSELF } from "../../domain/audit.ts";
import {
  Fault,
  type FaultJson,
  formatFault,
  isFault,
  packageNotUploaded,
  toFault,
} from "../../domain/fault.ts";
import { TaskId } from "../../domain/ids.ts";
import { BatchInput, type BatchItem } from "../../domain/install-task.ts";
import { type Installation, SOURCES } from "../../domain/installation.ts";
import { pluginIdOf } from "../../domain/package-ref.ts";
import { isTaskEnded, type Task, type TenantTask } from "../../domain/task.ts";
import type { Log } from "../../observe/log.ts";
import type { Queue } from "../../queue/queue.ts";
import type { BatchProgress } from "../../store/contracts/platform-tasks.ts";
import type { Store } from "../../store/store.ts";
import type { InstallationRequests, Origin } from "../contracts.ts";
import { acceptChange } from "../requests/accept-tasks.ts";
import type { TaskContext } from "../task-engine/steps.ts";
import { waitsFor } from "../task-engine/task-waits.ts";

interface BatchStepDeps {
  readonly store: Store;
  readonly queue: Queue;
  readonly log: Log;
  readonly requests: InstallationRequests;
}

type BatchContext = TaskContext<TenantTask>;

/** Throws `waitsFor` the unfinished tasks, and `install_failed` once all have ended and some have failed. */
export async function runBatch(
  deps: BatchStepDeps,
  context: BatchContext,
  signal: AbortSignal,
): Promise<void> {
  const { store } = deps;
  const { task, journal } = context;
  await context.enter("resolving");
  const { items } = BatchInput.parse(task.input);
  const progress = await store.platformTasks.progress(task.id);
  const children = await store.tasks.children(task.id);
  const walk: Walk = { ...context, items, progress, children };
  const running: Task[] = [];
  for (const item of items) {
    signal.throwIfAborted();
    const found = await advance(deps, walk, item);
    if (found !== undefined) running.push(found);
  }
  await journal.flush();
  signal.throwIfAborted();
  if (running.length > 0) throw waitsFor(running);
  assertNoneFailed(await store.platformTasks.progress(task.id));
  await store.tasks.finishReady(task.id, task.attempt);
}

interface Walk extends BatchContext {
  readonly items: readonly BatchItem[];
  readonly progress: readonly BatchProgress[];
  readonly children: readonly Task[];
}

/** Starts or follows one item. Answers the task that it waits for; undefined once the item has ended. */
async function advance(deps: BatchStepDeps, walk: Walk, item: BatchItem): Promise<Task | undefined> {
  const { store } = deps;
  const { task, progress, children } = walk;
  const known = progress.find(({ identifier }) => identifier === item.identifier);
  if (known === undefined || known.state !== "pending") return undefined;
  const batch = { id: task.id, attempt: task.attempt, identifier: item.identifier };
  const started = await findStarted(deps, children, known);
  const found = started ?? (await start(deps, walk, item));
  if (found.task === undefined) {
    await store.platformTasks.noteEnd(batch, found.cause);
    return undefined;
  }
  if (found.isOurs && known.taskId !== found.task.id)
    await store.platformTasks.noteTask(batch, found.task.id);
  if (!found.isOurs || !isTaskEnded(found.task.state)) return found.task;
  await store.platformTasks.noteEnd(batch, found.task.state === "ready" ? undefined : causeOf(found.task));
  return undefined;
}

/** State of an item: ended, or at a task, either its own or one that has to end first. */
type Found =
  | { readonly task: Task; readonly isOurs: boolean }
  | { readonly task: undefined; readonly cause: FaultJson | undefined };

/** The latest task of the item: one below the batch, or an earlier one that it joined. */
async function findStarted(
  { store }: BatchStepDeps,
  children: readonly Task[],
  { identifier, taskId }: BatchProgress,
): Promise<Found | undefined> {
  const child = children.findLast((one) => one.identifier === identifier && one.kind !== "uninstall");
  if (child !== undefined) return { task: child, isOurs: true };
  if (taskId === undefined) return undefined;
  const joined = await store.tasks.find(taskId);
  return joined === undefined
    ? { task: undefined, cause: { code: "cancelled", message: "The Installation was removed." } }
    : { task: joined, isOurs: true };
}

function causeOf({ cause }: Task): FaultJson {
  return cause ?? { code: "internal", message: "It failed for no known reason." };
}

/** A final refusal ends the item; a cause that may pass is thrown, and the batch retries. */
async function start(deps: BatchStepDeps, walk: Walk, item: BatchItem): Promise<Found> {
  const installation = await deps.store.installations.findByPlugin(
    walk.task.tenantId,
    pluginIdOf(item.identifier),
  );
  try {
    return await (item.original === undefined
      ? install(deps, { walk, item, installation })
      : upgrade(deps, { walk, item, installation }));
  } catch (error) {
    const fault = toFault(error);
    if (fault.rule.retry) throw error;
    const blocker = await findBlocker(deps, { walk, item, error });
    return blocker ?? { task: undefined, cause: formatFault(fault) };
  }
}

interface Start {
  readonly walk: Walk;
  readonly item: BatchItem;
  readonly installation: Installation | undefined;
}

/** Any installed version is enough. One that was never ready changes to the requested version. */
async function install(deps: BatchStepDeps, { walk, item, installation }: Start): Promise<Found> {
  const { task, journal, items } = walk;
  const { identifier } = item;
  if (installation !== undefined && installation.desired !== "removed") {
    if (await deps.store.installations.isPublished(installation.id))
      return { task: undefined, cause: undefined };
    if (installation.identifier !== identifier) return await change(deps, { walk, item, installation });
  }
  const chosen = Object.fromEntries(items.map((one) => [pluginIdOf(one.identifier), one.identifier]));
  const accepted = await deps.requests.install({
    tenantId: task.tenantId,
    identifier,
    asTenant: false,
    parentId: task.id,
    by: actorOf(task),
    origin: originOf(item),
    chosen,
  });
  if (accepted.created) journal.progress(`installing ${identifier}`);
  return { task: accepted.task, isOurs: true };
}

async function upgrade(deps: BatchStepDeps, { walk, item, installation }: Start): Promise<Found> {
  if (installation === undefined || installation.desired === "removed")
    throw new Fault("installation_not_found", `${pluginIdOf(item.identifier)} is not installed any more.`);
  if ((await deps.store.packages.find(item.identifier)) === undefined)
    throw packageNotUploaded(item.identifier);
  return await change(deps, { walk, item, installation });
}

async function change(
  deps: BatchStepDeps,
  { walk, item, installation }: Start & { readonly installation: Installation },
): Promise<Found> {
  const { task, journal } = walk;
  const { platformSource, ...origin } = originOf(item);
  const accepted = await acceptChange(deps, {
    id: installation.id,
    kind: "upgrade",
    identifier: item.identifier,
    parentId: task.id,
    by: actorOf(task),
    input: { origin, ...(platformSource && { platformSource }) },
  });
  if (accepted.created) journal.progress(`bringing ${installation.identifier} to ${item.identifier}`);
  return { task: accepted.task, isOurs: true };
}

/** The unfinished change of the same installation that the item has to wait for. */
async function findBlocker(
  { store }: BatchStepDeps,
  { walk, item, error }: Omit<Start, "installation"> & { readonly error: unknown },
): Promise<Found | undefined> {
  if (!isFault(error, "conflict")) return undefined;
  const named = TaskId.safeParse(error.details["task_id"]);
  const blocker = named.success ? await store.tasks.find(named.data) : undefined;
  if (blocker !== undefined) return { task: blocker, isOurs: false };
  const { tenantId } = walk.task;
  const found = await store.installations.findByPlugin(tenantId, pluginIdOf(item.identifier));
  if (found?.desired !== "removed") return undefined;
  const { items } = await store.tasks.list({ tenantId, installationId: found.id }, { limit: 10 });
  const removal = items.find(({ kind }) => kind === "uninstall");
  return removal === undefined ? undefined : { task: removal, isOurs: false };
}

/** The platform's names of sources stay in its rows; an installation names Berth's own. */
function originOf({ source, meta }: BatchItem): Origin {
  const ours = SOURCES.find((known) => known === source);
  return ours === undefined ? { source: "package", meta, platformSource: source } : { source: ours, meta };
}

function assertNoneFailed(progress: readonly BatchProgress[]): void {
  const failed = progress.filter(({ state }) => state === "failed");
  if (failed.length === 0) return;
  const causes = failed.map(({ identifier, cause }) => `${identifier}: ${cause?.message ?? "unknown"}`);
  throw new Fault(
    "install_failed",
    `${failed.length} of ${progress.length} could not be installed. ${causes.join(" ")}`,
    { details: { failed: failed.map(({ identifier, cause }) => ({ identifier, ...(cause && { cause }) })) } },
  );
}

function actorOf(task: Task): Actor {
  return { ...BERTH_ITSELF, requestId: task.id };
}
