import { z } from "zod";
import { TaskId } from "../domain/ids.ts";

/**
 * Every kind of job: payload schema, dedupe key, and how many run at once in one process. Retries belong to the
 * handlers, which know the Store; a handler that throws has failed for good and the sweeper asks again.
 */
export const JOBS = {
  "task.run": {
    payload: z.object({
      taskId: TaskId,
      /** Attempts that the task had seen when the job was made: a job of a dead worker never hides the next one. */
      attempt: z.int().min(0),
      /** Counts requests of the same: one that a worker took along into its death hides no later one either. */
      again: z.int().min(0).optional(),
    }),
    dedupeKey: ({
      taskId,
      attempt,
      again = 0,
    }: {
      taskId: string;
      attempt: number;
      again?: number | undefined;
    }) => `${taskId}.${attempt}.${again}`,
    concurrency: 8,
  },
} as const;

export type JobName = keyof typeof JOBS;
export type JobPayload<N extends JobName> = z.infer<(typeof JOBS)[N]["payload"]>;

/** Reads a payload as it came from the queue; throws when it is not one of this job. */
export function parsePayload<N extends JobName>(name: N, data: unknown): JobPayload<N> {
  return JOBS[name].payload.parse(data) as JobPayload<N>;
}
