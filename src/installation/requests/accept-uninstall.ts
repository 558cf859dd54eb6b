import type { InstallationId } from "../../domain/ids.ts";
import type { Queue } from "../../queue/queue.ts";
import type { Accepted } from "../../store/contracts/answers.ts";
import type { UninstallRequest } from "../../store/contracts/installations.ts";
import type { Store } from "../../store/store.ts";
import { installationTopic } from "../task-engine/topics.ts";

/**
 * Accepts an uninstall: marks the Installation and writes the task; the caller enqueues it. A notification makes a
 * running install kill its build at once, not at its next poll. Throws `installation_not_found`, `dependency_in_use`.
 */
export async function acceptUninstall(
  { store, queue }: { store: Store; queue: Queue },
  id: InstallationId,
  request: UninstallRequest = {},
): Promise<Accepted> {
  const accepted = await store.installations.acceptUninstall(id, request);
  await queue.publish(installationTopic(id), "removed").catch(() => undefined);
  return accepted;
}
