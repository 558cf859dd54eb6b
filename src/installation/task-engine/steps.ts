/** What the engine knows of the work it runs: one `Steps` for each kind of task. It imports none of them. */
import type { TaskId } from "../../domain/ids.ts";
import type { InstallationTask, Task, TaskEnding, TaskStep, TenantTask } from "../../domain/task.ts";
import type { TaskJournal } from "./task-journal.ts";

/** The work of one kind of task. */
export interface Steps<T extends Task = Task> {
  /**
   * Does the task's work and writes its `ready` as its last act. Each part is idempotent: after a crash, a retry or a
   * wait the engine calls it again from the start. Throws `waitsFor` the tasks that have to end first, and a Fault for
   * what failed; what `signal` aborts is left to the next attempt.
   */
  run(context: TaskContext<T>, signal: AbortSignal): Promise<void>;
  /**
   * Undoes what `run` made, then ends the task; resolves with the state in which it ended. Throws `waitsFor` the tasks
   * that have to end first; the engine calls it again once they have.
   */
  undo(undoing: Undoing<T>): Promise<TaskEnding["state"]>;
  /** A removal: nobody cancels it, and a cause that may pass is retried without a limit. */
  readonly isRemoval: boolean;
}

/** Every kind of this release has its steps; `unknown` serves the tasks of a later one. */
export type StepTable = {
  readonly [K in InstallationTask["kind"] | "unknown"]: Steps<InstallationTask>;
} & { readonly [K in TenantTask["kind"]]: Steps<TenantTask> };

export interface TaskContext<T extends Task = Task> {
  readonly task: T;
  readonly journal: TaskJournal;
  /** Names this worker and this attempt of the task. */
  readonly holder: string;
  /** Enters a step. Its event is recorded once, however often the steps run again. Throws the signal's reason. */
  readonly enter: (step: TaskStep) => Promise<void>;
  /** Runs another task within this one's job, unless another worker has it. Resolves as a job does, whatever the end. */
  readonly runTask: (taskId: TaskId, signal: AbortSignal) => Promise<void>;
}

export interface Undoing<T extends Task = Task> {
  readonly task: T;
  readonly journal: TaskJournal;
  /** How the task is to end. */
  readonly ending: TaskEnding;
}
