import type { Installation } from "../../domain/installation.ts";
import { INSTALLATIONS_TOPIC } from "../../invocation/installation-directory.ts";
import type { Queue } from "../../queue/queue.ts";
/** Topics of the queue's publish. Best effort: everybody who listens also polls the Store. */
export const taskTopic = (taskId: string): string => `task.${taskId}`;
/** Something about an Installation changed that a running task of it must see soon: its removal. */
export const installationTopic = (installationId: string): string => `installation.${installationId}`;
/** Somebody asked something about the disk; a worker has answered. */
export const DISK_TOPICS = { asked: "disk.asked", answered: "disk.answered" } as const;
export const imageTopic = (imageKey: string): string => `image.${imageKey}`;
/** Somebody asked for the end of a task. */
export const cancelTopic = (taskId: string): string => `cancel.${taskId}`;

/** Tells every process that answers calls to look at its Installations now. Best effort: they also poll. */
export async function announceChange(
  { queue }: { readonly queue: Pick<Queue, "publish"> },
  { id }: Pick<Installation, "id">,
): Promise<void> {
  await queue.publish(INSTALLATIONS_TOPIC, id).catch(() => undefined);
}
