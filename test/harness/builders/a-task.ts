/** A finished install task of an installation. */
import { randomUUID } from "node:crypto";
import { TaskId } from "../../../src/domain/ids.ts";
import type { Installation } from "../../../src/domain/installation.ts";
import type { InstallationTask, Task } from "../../../src/domain/task.ts";

export function aTask(installation: Installation, changes: Partial<InstallationTask> = {}): Task {
  return {
    id: TaskId.parse(randomUUID()),
    kind: "install",
    tenantId: installation.tenantId,
    installationId: installation.id,
    identifier: installation.identifier,
    parentId: undefined,
    input: {},
    state: "ready",
    ending: undefined,
    cause: undefined,
    attempt: 1,
    createdAt: new Date(0),
    updatedAt: new Date(0),
    finishedAt: new Date(0),
    ...changes,
  };
}
