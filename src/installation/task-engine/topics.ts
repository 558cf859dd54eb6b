/** Topics of the queue's publish. Best effort: everybody who listens also polls the Store. */
export const taskTopic = (taskId: string): string => `task.${taskId}`;
/** Something about an Installation changed that a running task of it must see soon: its removal. */
export const installationTopic = (installationId: string): string => `installation.${installationId}`;
/** Somebody asked something about the disk; a worker has answered. */
export const DISK_TOPICS = { asked: "disk.asked", answered: "disk.answered" } as const;
export const imageTopic = (imageKey: string): string => `image.${imageKey}`;
/** Somebody asked for the end of a task. */
export const cancelTopic = (taskId: string): string => `cancel.${taskId}`;
