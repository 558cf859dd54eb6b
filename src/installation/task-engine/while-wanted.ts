import { Fault } from "../../domain/fault.ts";
import type { Task } from "../../domain/task.ts";
import type { Queue } from "../../queue/queue.ts";
import type { Store } from "../../store/store.ts";
import { Bell } from "../../util/bell.ts";
import type { Clock } from "../../util/clock.ts";
import { Scope } from "../../util/scope.ts";
import { cancelTopic, installationTopic } from "./topics.ts";

export interface WantedDeps {
  readonly store: Pick<Store, "tasks" | "installations">;
  readonly queue: Queue;
  readonly clock: Clock;
  /** How often the rows are read where no notification arrives. */
  readonly pollMs: number;
}

/**
 * Runs the work, and aborts it with `cancelled` when the task is cancelled or its installation is removed. The queue
 * notifies at once; polling the rows guarantees it.
 */
export async function whileWanted(
  deps: WantedDeps,
  task: Task,
  signal: AbortSignal,
  work: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  const bell = new Bell();
  const unwanted = new AbortController();
  const done = new AbortController();
  await using scope = new Scope();
  const topics = [cancelTopic(task.id)];
  if (task.installationId !== undefined) topics.push(installationTopic(task.installationId));
  for (const topic of topics) {
    const subscribing = deps.queue.subscribe(topic, () => bell.ring()).catch(() => undefined);
    scope.add(async () => (await subscribing)?.[Symbol.asyncDispose]());
  }
  const watching = (async () => {
    while (!done.signal.aborted) {
      const why = await causeToStop(deps, task).catch(() => undefined);
      if (why !== undefined) return unwanted.abort(why);
      await bell.wait(deps.clock, deps.pollMs, done.signal);
    }
  })().catch(() => undefined);
  try {
    await work(AbortSignal.any([signal, unwanted.signal]));
  } finally {
    done.abort();
    await watching;
  }
}

async function causeToStop({ store }: WantedDeps, { id, installationId }: Task): Promise<Fault | undefined> {
  const ending = (await store.tasks.find(id))?.ending;
  if (ending !== undefined) return new Fault(ending.cause.code, ending.cause.message);
  if (installationId === undefined) return undefined;
  const installation = await store.installations.find(installationId);
  return installation === undefined || installation.desired === "removed" ? cancelled() : undefined;
}

/** Ends a task whose installation was removed, or is about to be. */
export function cancelled(): Fault {
  return new Fault("cancelled", "The Installation was removed.");
}
