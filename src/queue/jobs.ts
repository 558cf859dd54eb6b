import { z } from "zod";
import { TaskId } from "../domain/ids.ts";

/**
 * Every kind of job: payload schema, dedupe key, and how many run at the same time in one process. The queue retries
 * nothing: handlers do, because they know the store, and the sweeper enqueues a job again whose handler threw.
 */
export const JOBS = {
  "task.run": {
    payload: z.object({
      taskId: TaskId,
      /** Attempts of the task when the job was made: so a dead worker's job does not swallow the next one. */
      attempt: z.int().min(0),
      /** Counts repeated requests for the same attempt: so a job that a dead worker had taken swallows no later one. */
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

/** Parses a payload from the queue; throws where it is not one of this job. */
export function parsePayload<N extends JobName>(name: N, data: unknown): JobPayload<N> {
  return JOBS[name].payload.parse(data) as JobPayload<N>;
}
