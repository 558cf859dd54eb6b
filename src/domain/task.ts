import type { FaultJson } from "./fault.ts";
import type { InstallationId, TaskId, TenantId } from "./ids.ts";

/** The steps of an install, in order. `ready`, `failed` and `cancelled` end a task. */
export const TASK_STEPS = ["queued", "fetching", "verifying", "resolving", "building", "starting"] as const;
export type TaskStep = (typeof TASK_STEPS)[number];
export const TASK_ENDS = ["ready", "failed", "cancelled"] as const;
export type TaskState = TaskStep | (typeof TASK_ENDS)[number];

/** Work on one installation. At most one of its tasks is unfinished at a time. */
export const INSTALLATION_TASKS = [
  "install",
  "upgrade",
  "rollback",
  "restart",
  "enable",
  "disable",
  "limits",
  "uninstall",
] as const;
/** Work on a whole tenant, or on something that is not an installation yet. */
export const TENANT_TASKS = ["remove_tenant", "fetch", "bundle", "batch"] as const;

export type Task = InstallationTask | TenantTask;
export type TaskKind = Task["kind"];

export interface InstallationTask extends AnyTask {
  readonly kind: (typeof INSTALLATION_TASKS)[number];
  readonly installationId: InstallationId;
  /** `author/name:version@checksum`: what the installation has once the task is `ready`. */
  readonly identifier: string;
}

export interface TenantTask extends AnyTask {
  readonly kind: (typeof TENANT_TASKS)[number];
  readonly installationId: undefined;
  /** Of the package or bundle, where it was known when the task was accepted. */
  readonly identifier: string | undefined;
}

interface AnyTask {
  readonly id: TaskId;
  readonly tenantId: TenantId;
  /** The task that created this one and waits for it. */
  readonly parentId: TaskId | undefined;
  /** The request beside its identifier; its shape depends on the kind. */
  readonly input: Readonly<Record<string, unknown>>;
  readonly state: TaskState;
  /** How it will end, once its changes are undone. */
  readonly ending: TaskEnding | undefined;
  /** Set when `state` is `failed` or `cancelled`. */
  readonly cause: FaultJson | undefined;
  /** How often a worker has claimed the task; fences the writes of a stale worker. */
  readonly attempt: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly finishedAt: Date | undefined;
}

/** The end that a task will have, decided before its changes are undone. */
export interface TaskEnding {
  readonly state: "failed" | "cancelled";
  readonly cause: FaultJson;
}

/** What happened in a task, in order of `seq` (from 1, no gaps). Event names are part of the public stream. */
export type TaskEventData =
  | { readonly type: "step"; readonly step: TaskState }
  | {
      readonly type: "progress";
      readonly step: TaskStep;
      readonly message: string;
      readonly done?: number;
      readonly total?: number;
    }
  | { readonly type: "log"; readonly step: TaskStep; readonly text: string }
  | { readonly type: "warning"; readonly step: TaskStep; readonly message: string }
  | { readonly type: "retry"; readonly step: TaskStep; readonly cause: FaultJson; readonly delayMs: number }
  | { readonly type: "end"; readonly state: "ready" | "failed" | "cancelled"; readonly cause?: FaultJson };

export type TaskEvent = TaskEventData & { readonly seq: number; readonly at: Date };

export function isTaskEnded(state: TaskState): boolean {
  return (TASK_ENDS as readonly string[]).includes(state);
}

export function isTenantTask(task: Task): task is TenantTask {
  return (TENANT_TASKS as readonly string[]).includes(task.kind);
}
