/** Topics of the queue's notifications. Best effort: every subscriber also polls the Store. */
export const taskTopic = (taskId: string): string => `task.${taskId}`;
/** An Installation is being removed: its running tasks must stop. */
export const installationTopic = (installationId: string): string => `installation.${installationId}`;
/** A disk report or collection was requested; a worker has finished one. */
export const DISK_TOPICS = { asked: "disk.asked", answered: "disk.answered" } as const;
/** The row of an image changed: built, failed or removed. */
export const imageTopic = (imageKey: string): string => `image.${imageKey}`;
/** A task is to be cancelled. */
export const cancelTopic = (taskId: string): string => `cancel.${taskId}`;
