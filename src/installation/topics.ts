/** Topics of the queue's publish. Best effort: everybody who listens also polls the Store. */
export const taskTopic = (taskId: string): string => `task.${taskId}`;
/** Something about an Installation changed that a running task of it must see soon: its removal. */
export const installationTopic = (installationId: string): string => `installation.${installationId}`;
export const imageTopic = (imageKey: string): string => `image.${imageKey}`;
