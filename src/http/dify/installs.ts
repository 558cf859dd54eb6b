/** Installs, upgrades and uninstalls as the platform asks for them, and the tasks that it polls. */
import { isFault } from "../../domain/fault.ts";
import { InstallationId, TaskId } from "../../domain/ids.ts";
import { type InstallTask, itemJson } from "../../domain/install-task.ts";
import { pluginIdOf } from "../../domain/package-ref.ts";
import type { DifyDeps } from "./deps.ts";
import type { DifyDoor, DifyInput } from "./door.ts";
import { notUuid, refusal } from "./errors.ts";
import { isIdentifier, MANAGEMENT, PageInput } from "./inputs.ts";
import { field, list, map, max, named, needed, struct, type TypeOf, text } from "./wire/shape.ts";

const GATED = { gate: "key" } as const;

const InstallInput = struct({
  plugin_unique_identifiers: needed(list(text, { rules: [isIdentifier] }), max(64)),
  source: needed(text),
  metas: field(list(map)),
});

const UpgradeInput = struct({
  original_plugin_unique_identifier: needed(text, isIdentifier),
  new_plugin_unique_identifier: needed(text, isIdentifier),
  source: needed(text),
  meta: field(map),
});

const TaskInput = struct({ id: named("TaskID", needed(text)) });
const ItemInput = struct({ id: named("TaskID", needed(text)), identifier: needed(text) });
const UninstallInput = struct({ plugin_installation_id: needed(text) });

export function addInstalls(door: DifyDoor, deps: DifyDeps): void {
  const post = { ...GATED, method: "POST" } as const;
  door.add({ ...post, path: `${MANAGEMENT}/install/identifiers`, input: InstallInput }, (asked) =>
    install(deps, asked),
  );
  door.add({ ...post, path: `${MANAGEMENT}/install/upgrade`, input: UpgradeInput }, (asked) =>
    upgrade(deps, asked),
  );
  door.add({ ...post, path: `${MANAGEMENT}/uninstall`, input: UninstallInput }, (asked) =>
    uninstall(deps, asked),
  );
  addTasks(door, deps);
}

function addTasks(door: DifyDoor, deps: DifyDeps): void {
  const { platformTasks } = deps.store;
  const get = { ...GATED, method: "GET" } as const;
  const post = { ...GATED, method: "POST" } as const;
  door.add({ ...get, path: `${MANAGEMENT}/install/tasks`, input: PageInput }, async ({ input, tenantId }) => {
    const page = { page: input.page, pageSize: input.page_size };
    return await tasksJson(deps, await platformTasks.list(tenantId, page));
  });
  door.add(
    { ...get, path: `${MANAGEMENT}/install/tasks/:id`, input: TaskInput },
    async ({ input, tenantId }) => {
      const id = taskIdOf(input.id);
      const found = id === undefined ? undefined : await platformTasks.find(tenantId, id);
      if (found === undefined) throw refusal("PluginDaemonInternalServerError", "record not found");
      return (await tasksJson(deps, [found])).at(0);
    },
  );
  door.add(
    { ...post, path: `${MANAGEMENT}/install/tasks/delete_all`, input: struct({}) },
    async ({ tenantId }) => {
      await platformTasks.removeAll(tenantId);
      return true;
    },
  );
  door.add(
    { ...post, path: `${MANAGEMENT}/install/tasks/:id/delete`, input: TaskInput },
    async ({ input, tenantId }) => {
      const id = taskIdOf(input.id);
      if (id !== undefined) await platformTasks.remove(tenantId, id);
      return true;
    },
  );
  door.add(
    { ...post, path: `${MANAGEMENT}/install/tasks/:id/delete/:identifier{.+}`, input: ItemInput },
    async ({ input, tenantId }) => {
      const item = input.identifier.replace(/^\/+/, "");
      if (!isIdentifier.holds(item))
        throw refusal("PluginDaemonBadRequestError", `plugin_unique_identifier is not valid: ${item}`);
      const id = taskIdOf(input.id);
      if (id !== undefined) await platformTasks.removeItem(tenantId, id, item);
      return true;
    },
  );
}

type Asked<S> = DifyInput<TypeOf<S>>;

async function install(
  { batches }: DifyDeps,
  { input, tenantId, by }: Asked<typeof InstallInput>,
): Promise<unknown> {
  const { source } = input;
  const identifiers = input.plugin_unique_identifiers ?? [];
  const metas = input.metas ?? [];
  if (metas.length !== identifiers.length)
    throw refusal(
      "PluginDaemonBadRequestError",
      "the number of metas must be equal to the number of plugin unique identifiers",
    );
  const items = identifiers.map((one, place) => ({ identifier: one, source, meta: metas[place] ?? {} }));
  const taskId = await batches.install({ tenantId, items, by }).catch((error: unknown) => {
    if (!isFault(error, "package_not_found")) throw error;
    throw refusal("PluginDaemonInternalServerError", "plugin not found\nfailed to get plugin declaration");
  });
  return { all_installed: taskId === undefined, task_id: taskId ?? "" };
}

async function upgrade(
  { batches }: DifyDeps,
  { input, tenantId, by }: Asked<typeof UpgradeInput>,
): Promise<unknown> {
  const original = input.original_plugin_unique_identifier;
  const next = input.new_plugin_unique_identifier;
  const refuse = (message: string) => refusal("PluginDaemonBadRequestError", message);
  if (original === next) throw refuse("original and new plugin unique identifier are the same");
  if (pluginIdOf(original) !== pluginIdOf(next)) throw refuse("original and new plugin id are different");
  const item = { identifier: next, source: input.source, meta: input.meta ?? {} };
  const taskId = await batches.upgrade({ tenantId, original, item, by }).catch((error: unknown) => {
    if (!isFault(error, "installation_not_found")) throw error;
    throw refusal("PluginDaemonNotFoundError", "plugin installation not found for this tenant");
  });
  return { all_installed: false, task_id: taskId };
}

/** Uninstalls even where other plugins depend on it: the platform does not track dependencies. */
async function uninstall(
  { store, requests, invoker }: DifyDeps,
  { input, tenantId, by }: Asked<typeof UninstallInput>,
): Promise<boolean> {
  const id = InstallationId.safeParse(idOf(input.plugin_installation_id));
  const found = id.success ? await store.installations.find(id.data) : undefined;
  if (found === undefined || found.tenantId !== tenantId) return true;
  await requests.uninstall(found.id, { by, force: true }).catch((error: unknown) => {
    if (!isFault(error, "installation_not_found")) throw error;
  });
  // polling would see it too, but later
  await invoker.refresh();
  return true;
}

/** The tasks as JSON. Where one has ended, this process first refreshes what it knows of the tenant's plugins. */
async function tasksJson({ invoker }: DifyDeps, tasks: readonly InstallTask[]): Promise<unknown[]> {
  if (tasks.some(({ status }) => status === "success" || status === "failed")) await invoker.refresh();
  return tasks.map((task) => ({
    id: task.id,
    created_at: task.createdAt.toISOString(),
    updated_at: task.updatedAt.toISOString(),
    status: task.status,
    tenant_id: task.tenantId,
    total_plugins: task.total,
    completed_plugins: task.completed,
    plugins: task.items.map(itemJson),
  }));
}

/** Undefined for a UUID that no row can have. */
function taskIdOf(given: string): TaskId | undefined {
  const parsed = TaskId.safeParse(idOf(given));
  return parsed.success ? parsed.data : undefined;
}

function idOf(given: string): string {
  if (UUID.test(given)) return given.toLowerCase();
  throw refusal("PluginDaemonInternalServerError", notUuid(given));
}
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
