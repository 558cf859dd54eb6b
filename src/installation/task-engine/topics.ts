import type { Installation } from "../../domain/installation.ts";
import { INSTALLATIONS_TOPIC } from "../../invocation/installation-directory.ts";
import type { Queue } from "../../queue/queue.ts";

/** Topics of the queue's notifications. Best effort: every subscriber also polls the store. */
export const taskTopic = (taskId: string): string => `task.${taskId}`;
/** An installation is being removed: its running tasks must stop. */
export const installationTopic = (installationId: string): string => `installation.${installationId}`;
/** A disk report or collection was requested; a worker has finished one. */
export const DISK_TOPICS = { asked: "disk.asked", answered: "disk.answered" } as const;
/** The row of an image changed: built, failed or removed. */
export const imageTopic = (imageKey: string): string => `image.${imageKey}`;
/** A task is to be cancelled. */
export const cancelTopic = (taskId: string): string => `cancel.${taskId}`;

/** Makes every process that answers calls read its installations again. Best effort: they also poll. Never throws. */
export async function announceChange(
  { queue }: { readonly queue: Pick<Queue, "publish"> },
  { id }: Pick<Installation, "id">,
): Promise<void> {
  await queue.publish(INSTALLATIONS_TOPIC, id).catch(() => undefined);
}
