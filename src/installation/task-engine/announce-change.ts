import type { Installation } from "../../domain/installation.ts";
import { INSTALLATIONS_TOPIC } from "../../invocation/installation-directory.ts";
import type { Queue } from "../../queue/queue.ts";

/** Tells every process that answers calls to look at its Installations now. Best effort: they also poll. */
export async function announceChange(
  { queue }: { readonly queue: Pick<Queue, "publish"> },
  { id }: Pick<Installation, "id">,
): Promise<void> {
  await queue.publish(INSTALLATIONS_TOPIC, id).catch(() => undefined);
}
