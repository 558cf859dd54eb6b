import { randomUUID } from "node:crypto";
import { TaskId } from "../../../src/domain/ids.ts";
import type { InstallTask } from "../../../src/domain/install-task.ts";
import type { TenantTask } from "../../../src/domain/task.ts";
import type { PlatformTaskRows } from "../../../src/store/contracts/platform-tasks.ts";

/**
 * The platform's tasks in memory, newest first in the array given. No worker runs them, so they never end; what a caller
 * sees and removes follows the rules of the store: the contract of the platform's tasks runs on them.
 */
export function platformTaskRowsIn(
  tasks: InstallTask[],
): Pick<PlatformTaskRows, "accept" | "list" | "find" | "remove" | "removeAll" | "removeItem"> {
  const remove = (isGone: (task: InstallTask) => boolean) => {
    for (const task of tasks.filter(isGone)) tasks.splice(tasks.indexOf(task), 1);
    return Promise.resolve();
  };
  return {
    accept({ tenantId, items, shown }) {
      const id = TaskId.parse(randomUUID());
      const at = new Date(0);
      tasks.unshift({
        id,
        tenantId,
        status: "running",
        total: items.length,
        completed: 0,
        items: shown,
        createdAt: at,
        updatedAt: at,
      });
      const task: TenantTask = {
        id,
        tenantId,
        kind: "batch",
        installationId: undefined,
        identifier: undefined,
        parentId: undefined,
        input: { items },
        state: "queued",
        ending: undefined,
        cause: undefined,
        attempt: 0,
        createdAt: at,
        updatedAt: at,
        finishedAt: undefined,
      };
      return Promise.resolve({ task, created: true });
    },
    list: (tenantId, { page, pageSize }) => {
      const mine = tasks.filter((task) => task.tenantId === tenantId);
      return Promise.resolve(mine.slice((page - 1) * pageSize, page * pageSize));
    },
    find: (tenantId, id) =>
      Promise.resolve(tasks.find((task) => task.id === id && task.tenantId === tenantId)),
    remove: (tenantId, id) => remove((task) => task.id === id && task.tenantId === tenantId),
    removeAll: (tenantId) => remove((task) => task.tenantId === tenantId),
    removeItem(tenantId, id, identifier) {
      const found = tasks.find((task) => task.id === id && task.tenantId === tenantId);
      if (found === undefined) return Promise.resolve();
      const items = found.items.filter((item) => item.identifier !== identifier);
      if (items.every(({ status }) => status === "success")) return remove((task) => task === found);
      tasks.splice(tasks.indexOf(found), 1, { ...found, items });
      return Promise.resolve();
    },
  };
}
