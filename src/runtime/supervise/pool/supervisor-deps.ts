import type { Pool } from "../../../domain/runtime.ts";
import type { Store } from "../../../store/store.ts";
import type { Semaphore } from "../../../util/semaphore.ts";
import type { SupervisedRuntimeDeps } from "./supervised-runtime.ts";

/** What supervising one Pool needs. */
export interface SupervisorDeps extends SupervisedRuntimeDeps {
  readonly store: Pick<Store, "instanceId" | "runtimes" | "pools" | "installations">;
  /** One lane: Containers with an outdated spec are replaced one at a time, over all Pools. */
  readonly rollout: Semaphore;
  /** Brings back what the Engine lost. Called once for each start that failed for that. */
  readonly onImageMissing: (pool: Pool) => Promise<void>;
  /** Whether the Pool's lease stands as far as this process can know. */
  readonly isHeld: (poolKey: string) => boolean;
}
