import type { Installation } from "../../domain/installation.ts";
import { INSTALLATIONS_TOPIC } from "../../invocation/installation-directory.ts";
import type { Queue } from "../../queue/queue.ts";

/** Makes every process that answers calls read its Installations again. Best effort: they also poll. Never throws. */
export async function announceChange(
  { queue }: { readonly queue: Pick<Queue, "publish"> },
  { id }: Pick<Installation, "id">,
): Promise<void> {
  await queue.publish(INSTALLATIONS_TOPIC, id).catch(() => undefined);
}
