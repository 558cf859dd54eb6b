/**
 * The steps of a `fetch` task: download the archive into a folder of the task, take it in as an upload, then install it
 * in a task below this one. Each step first looks for its own result, so that a worker which takes over continues where
 * the last one stopped; an interrupted download keeps its bytes.
 */
import { createReadStream } from "node:fs";
import { cp, mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { type Actor, BERTH_ITSELF } from "../../domain/audit.ts";
import { Fault, isFault, toFault } from "../../domain/fault.ts";
import { TaskId } from "../../domain/ids.ts";
import type { Package } from "../../domain/package.ts";
import { formatSource, type Source } from "../../domain/source.ts";
import { isTaskEnded, type Task, type TenantTask } from "../../domain/task.ts";
import type { Sources } from "../../sources/sources.ts";
import type { Store } from "../../store/store.ts";
import type { InstallationRequests, PackageUploads } from "../contracts.ts";
import { FetchInput, mayInstall, originOf } from "../requests/accept-fetch.ts";
import type { TaskContext } from "../task-engine/steps.ts";
import { waitsFor } from "../task-engine/task-waits.ts";
import { cancelled } from "../task-engine/while-wanted.ts";

export interface FetchStepDeps {
  readonly store: Store;
  readonly sources: Sources;
  readonly uploads: PackageUploads;
  readonly requests: InstallationRequests;
  readonly dataFolder: string;
}

type FetchContext = TaskContext<TenantTask>;

export async function runFetch(
  deps: FetchStepDeps,
  context: FetchContext,
  signal: AbortSignal,
): Promise<void> {
  const { store } = deps;
  const { task, journal, enter } = context;
  const { source, verifySignature, permissions, asTenant = false } = FetchInput.parse(task.input);
  const [below] = (await store.tasks.children(task.id)).slice(-1);
  if (below !== undefined) return await endAs(deps, task, below);
  await enter("fetching");
  const identifier = (await findStored(deps, task)) ?? (await obtain(deps, context, signal));
  await enter("resolving");
  const { task: child } = await deps.requests.install({
    tenantId: task.tenantId,
    identifier,
    asTenant,
    parentId: task.id,
    by: actorOf(task),
    origin: originOf(source),
    ...(verifySignature === undefined ? {} : { verifySignature }),
    ...(permissions === undefined ? {} : { permissions }),
  });
  journal.progress(`installing ${identifier}`);
  await journal.flush();
  await endAs(deps, task, child);
}

/** The identifier where nothing has to be fetched: this task stored the package before, or it is one of the marketplace. */
async function findStored({ store }: FetchStepDeps, task: TenantTask): Promise<string | undefined> {
  const { identifier, tenantId } = task;
  if (identifier === undefined) return undefined;
  return (await mayInstall(store, { identifier, tenantId, asTenant: true })) ? identifier : undefined;
}

/** Fetches, checks and stores the package; resolves with its identifier. */
async function obtain(deps: FetchStepDeps, context: FetchContext, signal: AbortSignal): Promise<string> {
  const { task, journal, enter } = context;
  const { source, verifySignature = false } = FetchInput.parse(task.input);
  const folder = await openFolder(deps, task);
  try {
    journal.progress(`fetching ${formatSource(source)}`);
    const hooks = {
      onProgress: (count: { done: number; total?: number }) => journal.progress("downloading", count),
      onNote: (message: string) => journal.progress(message),
    };
    const { path } = await deps.sources.fetch({ source, folder }, hooks, signal);
    await enter("verifying");
    const { stored } = await deps.uploads.receive(
      createReadStream(path),
      {
        tenantId: task.tenantId,
        by: actorOf(task),
        accepts: refuseUnlessNamed(source),
        verifySignature,
        fromMarketplace: source.type === "marketplace",
      },
      signal,
    );
    await deps.store.tasks.setIdentifier(task.id, task.attempt, stored.identifier);
    await removeFolder(deps, task.id);
    return stored.identifier;
  } catch (error) {
    // The next try and a worker that takes over continue with the folder.
    const goesOn = signal.aborted && !isFault(signal.reason, "cancelled");
    if (!goesOn && !toFault(error).rule.retry) await removeFolder(deps, task.id);
    throw error;
  }
}

/** Refuses what the marketplace sent unless it is the package that was asked for, to the last byte. */
function refuseUnlessNamed(source: Source): (pkg: Package) => void {
  return ({ identifier }) => {
    if (source.type !== "marketplace" || source.identifier === identifier) return;
    throw new Fault(
      "source_digest_mismatch",
      `The marketplace sent ${identifier} instead of ${source.identifier}.`,
      { details: { field: "source.identifier", value: source.identifier, found: identifier } },
    );
  };
}

function actorOf(task: Task): Actor {
  return { ...BERTH_ITSELF, requestId: task.id };
}

/** Ends the task as its install ended, which may have been requested earlier by someone else. */
async function endAs({ store }: FetchStepDeps, task: TenantTask, { id }: Task): Promise<void> {
  const child = await store.tasks.find(id);
  // A removed installation has no tasks any more.
  if (child === undefined || child.state === "cancelled") throw cancelled();
  if (!isTaskEnded(child.state)) throw waitsFor([child]);
  if (child.state === "failed")
    throw new Fault("install_failed", `The install failed: ${child.cause?.message ?? "unknown"}`, {
      details: { task_id: id, ...(child.cause === undefined ? {} : { cause: child.cause }) },
    });
  await store.tasks.finishReady(task.id, task.attempt);
}

const FOLDER = "fetches";

/**
 * One folder for each attempt, because a worker that has lost its lease without noticing may still write. It starts with
 * a copy of what the last attempt has downloaded.
 */
async function openFolder({ dataFolder, store }: FetchStepDeps, { id, attempt }: Task): Promise<string> {
  await removeForgotten({ dataFolder, store });
  const ofTask = join(dataFolder, FOLDER, id);
  const mine = join(ofTask, String(attempt));
  await mkdir(ofTask, { recursive: true, mode: 0o700 });
  const earlier = (await readdir(ofTask))
    .filter((name) => /^\d+$/.test(name))
    .sort((a, b) => Number(b) - Number(a));
  const [latest] = earlier;
  if (latest !== undefined && latest !== String(attempt))
    await cp(join(ofTask, latest), mine, { recursive: true });
  await mkdir(mine, { recursive: true, mode: 0o700 });
  for (const name of earlier)
    if (name !== String(attempt)) await rm(join(ofTask, name), { recursive: true, force: true });
  return mine;
}

async function removeFolder({ dataFolder }: Pick<FetchStepDeps, "dataFolder">, id: TaskId): Promise<void> {
  await rm(join(dataFolder, FOLDER, id), { recursive: true, force: true });
}

/** Removes the folders of tasks that ended while no worker ran them: by a cancel, or with their tenant. */
async function removeForgotten(deps: Pick<FetchStepDeps, "dataFolder" | "store">): Promise<void> {
  const names = await readdir(join(deps.dataFolder, FOLDER)).catch(() => []);
  for (const name of names) {
    const id = TaskId.safeParse(name);
    if (!id.success) continue;
    const task = await deps.store.tasks.find(id.data);
    if (task === undefined || isTaskEnded(task.state)) await removeFolder(deps, id.data);
  }
}
