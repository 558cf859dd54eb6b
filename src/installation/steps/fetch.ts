/**
 * The steps of a `fetch` task: the archive into a folder of the task's own, from there through the same door as an
 * upload, then an install below the task. Each step first looks for what it would make, so that a worker which takes
 * over goes on where the last one stopped; of a download that was cut it keeps the bytes.
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
import { FetchInput, mayHave, originOf } from "../requests/accept-fetch.ts";
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
  const { source, verifySignature, asTenant = false } = FetchInput.parse(task.input);
  const [below] = (await store.tasks.children(task.id)).slice(-1);
  if (below !== undefined) return await endAs(deps, task, below);
  await enter("fetching");
  const identifier = (await hereAlready(deps, task)) ?? (await obtain(deps, context, signal));
  await enter("resolving");
  const { task: child } = await deps.requests.install({
    ...{ tenantId: task.tenantId, identifier, asTenant, parentId: task.id, by: inTheNameOf(task) },
    origin: originOf(source),
    ...(verifySignature === undefined ? {} : { verifySignature }),
  });
  journal.progress(`installing ${identifier}`);
  await journal.flush();
  await endAs(deps, task, child);
}

/** The Package, where nothing has to be fetched for it: the one that this task has kept, or one of the marketplace. */
async function hereAlready({ store }: FetchStepDeps, task: TenantTask): Promise<string | undefined> {
  const { identifier, tenantId } = task;
  if (identifier === undefined) return undefined;
  return (await mayHave(store, { identifier, tenantId, asTenant: true })) ? identifier : undefined;
}

/** Fetches, checks and keeps; resolves with the identifier of the Package that it is. */
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
        ...{ tenantId: task.tenantId, by: inTheNameOf(task), accepts: asNamed(source) },
        verifySignature,
        fromMarketplace: source.type === "marketplace",
      },
      signal,
    );
    await deps.store.tasks.setIdentifier(task.id, task.attempt, stored.identifier);
    await removeFolder(deps, task.id);
    return stored.identifier;
  } catch (error) {
    // What a later try goes on with stays, and what another worker is at.
    const goesOn = signal.aborted && !isFault(signal.reason, "cancelled");
    if (!goesOn && !toFault(error).rule.retry) await removeFolder(deps, task.id);
    throw error;
  }
}

/** The marketplace is asked for an identifier, and what it gives must be that Package to the last byte. */
function asNamed(source: Source): (pkg: Package) => void {
  return ({ identifier }) => {
    if (source.type !== "marketplace" || source.identifier === identifier) return;
    throw new Fault(
      "source_digest_mismatch",
      `The marketplace gave ${identifier}, and ${source.identifier} was asked for.`,
      { details: { field: "source.identifier", value: source.identifier, found: identifier } },
    );
  };
}

function inTheNameOf(task: Task): Actor {
  return { ...BERTH_ITSELF, requestId: task.id };
}

/** The task ends as the install does, which may be one that somebody else had asked for before. */
async function endAs({ store }: FetchStepDeps, task: TenantTask, { id }: Task): Promise<void> {
  const child = await store.tasks.find(id);
  // An Installation that was removed meanwhile has taken its tasks along.
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
 * One for each attempt, because a worker that has lost the task without knowing may still be writing. What the last
 * attempt has got so far is copied.
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

/** What tasks left that ended while nobody was at them: by a cancel, or with their tenant. */
async function removeForgotten(deps: Pick<FetchStepDeps, "dataFolder" | "store">): Promise<void> {
  const names = await readdir(join(deps.dataFolder, FOLDER)).catch(() => []);
  for (const name of names) {
    const id = TaskId.safeParse(name);
    if (!id.success) continue;
    const task = await deps.store.tasks.find(id.data);
    if (task === undefined || isTaskEnded(task.state)) await removeFolder(deps, id.data);
  }
}
