import type { InstallationId } from "../../domain/ids.ts";
import type { Queue } from "../../queue/queue.ts";
import type { Accepted } from "../../store/contracts/answers.ts";
import type { UninstallRequest } from "../../store/contracts/installations.ts";
import type { Store } from "../../store/store.ts";
import { installationTopic } from "../task-engine/topics.ts";

/**
 * Accepts an uninstall: marks the Installation and writes the task. An install of it that is still running is told,
 * so that its build is killed now and not at its next look at the row. Throws `installation_not_found`, `dependency_in_use`.
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
