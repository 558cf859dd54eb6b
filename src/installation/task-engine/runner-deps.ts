import type { Log } from "../../observe/log.ts";
import type { Queue } from "../../queue/queue.ts";
import type { Store } from "../../store/store.ts";
import type { Clock } from "../../util/clock.ts";
import type { StepTable } from "./steps.ts";

export interface TaskRunnerDeps {
  readonly store: Pick<Store, "tasks" | "installations">;
  readonly queue: Queue;
  readonly clock: Clock;
  readonly log: Log;
  /** Names this process among those that use the database. */
  readonly worker: string;
  readonly tasks: TaskRunnerSettings;
  readonly steps: StepTable;
}

export interface TaskRunnerSettings {
  readonly leaseMs: number;
  /** How often a running task reads whether it was cancelled, or whether another's build has ended. */
  readonly pollMs: number;
  /** Retries of a cause that may pass before the task fails, and the delays between them. */
  readonly retriesMax: number;
  readonly retryFirstMs: number;
  readonly retryMaxMs: number;
  /** A task that waits for others runs again after this time in any case. */
  readonly waitCheckMs: number;
  readonly eventBatchMs: number;
  readonly logBytesMax: number;
  readonly logLineCharsMax: number;
}

export const TASK_RUNNER_DEFAULTS: TaskRunnerSettings = Object.freeze({
  leaseMs: 15_000,
  pollMs: 1_000,
  retriesMax: 5,
  retryFirstMs: 2_000,
  retryMaxMs: 60_000,
  waitCheckMs: 60_000,
  eventBatchMs: 200,
  logBytesMax: 256 * 1024,
  logLineCharsMax: 4_000,
});
