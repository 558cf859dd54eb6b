import type { FaultJson } from "./fault.ts";
import type { InstallationId, TaskId, TenantId } from "./ids.ts";

/** The steps of an install, in order. `ready`, `failed` and `cancelled` end a task. */
export const TASK_STEPS = ["queued", "fetching", "verifying", "resolving", "building", "starting"] as const;
export type TaskStep = (typeof TASK_STEPS)[number];
export const TASK_ENDS = ["ready", "failed", "cancelled"] as const;
export type TaskState = TaskStep | (typeof TASK_ENDS)[number];

/** Work on one Installation, or on a whole Tenant. */
export type Task = InstallationTask | TenantTask;
export type TaskKind = Task["kind"];

export interface InstallationTask extends AnyTask {
  readonly kind: "install" | "uninstall";
  readonly installationId: InstallationId;
  /** `author/name:version@checksum` */
  readonly identifier: string;
}

export interface TenantTask extends AnyTask {
  readonly kind: "remove_tenant";
  readonly installationId: undefined;
  readonly identifier: undefined;
}

interface AnyTask {
  readonly id: TaskId;
  readonly tenantId: TenantId;
  readonly state: TaskState;
  /** Set when `state` is `failed` or `cancelled`. */
  readonly cause: FaultJson | undefined;
  /** How often a worker has taken the task; fences what a stale worker would publish. */
  readonly attempt: number;
  readonly createdAt: Date;
  readonly updatedAt: Date;
  readonly finishedAt: Date | undefined;
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
