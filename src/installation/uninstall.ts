import type { Actor } from "../domain/audit.ts";
import type { InstallationId } from "../domain/ids.ts";
import type { Queue } from "../queue/queue.ts";
import type { Accepted, Store } from "../store/store.ts";
import { installationTopic } from "./topics.ts";

/**
 * Accepts an uninstall: marks the Installation and writes the task. An install of it that is still running is told,
 * so that its build is killed now and not at its next look at the row. Throws `installation_not_found`.
 */
export async function acceptUninstall(
  { store, queue }: { store: Store; queue: Queue },
  id: InstallationId,
  by?: Actor,
): Promise<Accepted> {
  const accepted = await store.installations.acceptUninstall(id, by);
  await queue.publish(installationTopic(id), "removed").catch(() => undefined);
  return accepted;
}
