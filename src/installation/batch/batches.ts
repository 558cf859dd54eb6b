/** Requests of a platform for many installs or upgrades at once; each is answered before any work starts. */
import type { Actor } from "../../domain/audit.ts";
import { Fault, invalidInput, packageNotUploaded } from "../../domain/fault.ts";
import type { TaskId, TenantId } from "../../domain/ids.ts";
import { type BatchItem, type InstallItem, newItem } from "../../domain/install-task.ts";
import { pluginIdOf } from "../../domain/package-ref.ts";
import type { Log } from "../../observe/log.ts";
import type { Queue } from "../../queue/queue.ts";
import type { Store } from "../../store/store.ts";
import { storableText } from "../../util/storable.ts";
import { enqueueTask } from "../task-engine/enqueue-task.ts";

export interface BatchWish {
  readonly identifier: string;
  readonly source: string;
  readonly meta: Readonly<Record<string, unknown>>;
}

export interface Batches {
  /**
   * Accepts the installs and answers their task; undefined where the tenant has all of them already, in any version.
   * Throws `package_not_found` for a package that was never uploaded, and `invalid_input`.
   */
  install(request: {
    readonly tenantId: TenantId;
    readonly items: readonly BatchWish[];
    readonly by: Actor;
  }): Promise<TaskId | undefined>;
  /**
   * Accepts the change of the installation from `original` to another package of the same plugin, newer or older, and
   * answers its task; the old one serves until the new one is ready. Throws `installation_not_found` where the tenant
   * does not have exactly `original`, and `invalid_input`. A package that was never uploaded fails the task.
   */
  upgrade(request: {
    readonly tenantId: TenantId;
    readonly original: string;
    readonly item: BatchWish;
    readonly by: Actor;
  }): Promise<TaskId>;
}

export interface BatchesDeps {
  readonly store: Store;
  readonly queue: Queue;
  readonly log: Log;
}

export function createBatches(deps: BatchesDeps): Batches {
  const { store } = deps;
  return {
    install: async ({ tenantId, items: given, by }) => {
      const items = [...new Map(given.map((item) => [item.identifier, toItem(item)])).values()];
      const pluginIds = items.map(({ identifier }) => pluginIdOf(identifier));
      const there = await store.platform.installationsOf(tenantId, pluginIds);
      const installed = new Set(there.map(({ pluginId }) => pluginId));
      if (pluginIds.every((id) => installed.has(id))) return undefined;
      const shown: InstallItem[] = [];
      for (const item of items) {
        const view = await show(store, item);
        if (!view.isKnown) throw packageNotUploaded(item.identifier);
        shown.push(view.item);
      }
      return await accept(deps, { tenantId, items, shown, by });
    },
    upgrade: async ({ tenantId, original, item: given, by }) => {
      const item: BatchItem = { ...toItem(given), original };
      assertOther(original, item.identifier);
      const there = await store.platform.findInstallation(tenantId, pluginIdOf(original));
      if (there?.identifier !== original)
        throw new Fault("installation_not_found", `The tenant does not have ${original}.`);
      const view = await show(store, item);
      return await accept(deps, { tenantId, items: [item], shown: [view.item], by });
    },
  };
}

function assertOther(original: string, identifier: string): void {
  if (original === identifier)
    throw invalidInput("identifier", identifier, "another package than the one that is installed");
  if (pluginIdOf(original) !== pluginIdOf(identifier))
    throw invalidInput("identifier", identifier, `a package of ${pluginIdOf(original)}`);
}

async function accept(
  deps: BatchesDeps,
  request: Parameters<Store["platformTasks"]["accept"]>[0],
): Promise<TaskId> {
  const accepted = await deps.store.platformTasks.accept(request);
  await enqueueTask(deps, accepted);
  return accepted.task.id;
}

async function show(
  { packages }: Pick<Store, "packages">,
  { identifier, source }: BatchItem,
): Promise<{ readonly item: InstallItem; readonly isKnown: boolean }> {
  const pkg = await packages.find(identifier);
  const item = newItem({ identifier, pluginId: pluginIdOf(identifier), source }, pkg?.declaration);
  return { item, isKnown: pkg !== undefined };
}

/** Lengths of their columns. */
const SOURCE_LENGTH_MAX = 63;
const IDENTIFIER_LENGTH_MAX = 255;

function toItem({ identifier, source, meta }: BatchWish): BatchItem {
  const kept = storableText(source);
  if ([...kept].length > SOURCE_LENGTH_MAX)
    throw invalidInput("source", source, `at most ${SOURCE_LENGTH_MAX} characters`);
  if (identifier.length > IDENTIFIER_LENGTH_MAX)
    throw invalidInput("identifier", identifier, `at most ${IDENTIFIER_LENGTH_MAX} characters`);
  return { identifier, source: kept, meta };
}
