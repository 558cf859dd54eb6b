import type { InstallationId } from "../../domain/ids.ts";
import type { BuildPriority } from "../../invocation/build-priority.ts";
import type { Queue } from "../../queue/queue.ts";
import type { TakeoverPlace } from "../../store/contracts/takeover.ts";
import type { Store } from "../../store/store.ts";
import { NEEDED_TOPIC } from "./takeover.ts";

/** Moves installations that calls wait for to the front, and notifies the workers. Simultaneous calls share one query. */
export function createBuildPriority({
  store,
  queue,
}: {
  readonly store: Pick<Store, "takeover">;
  readonly queue: Pick<Queue, "publish">;
}): BuildPriority {
  const asking = new Map<InstallationId, Promise<TakeoverPlace | undefined>>();
  const ask = async (id: InstallationId) => {
    try {
      const place = await store.takeover.raise(id);
      if (place !== undefined) await queue.publish(NEEDED_TOPIC, id).catch(() => undefined);
      return place;
    } finally {
      asking.delete(id);
    }
  };
  return {
    raise: (id) => {
      const asked = asking.get(id) ?? ask(id);
      asking.set(id, asked);
      return asked;
    },
  };
}
