import type { Pool } from "../../../domain/runtime.ts";
import type { Store } from "../../../store/store.ts";
import type { Semaphore } from "../../../util/semaphore.ts";
import type { SupervisedRuntimeDeps } from "./supervised-runtime.ts";

/** What the supervision of one pool needs. */
export interface SupervisorDeps extends SupervisedRuntimeDeps {
  readonly store: Pick<Store, "instanceId" | "runtimes" | "pools" | "installations">;
  /** One permit: outdated containers are replaced one at a time, over all pools. */
  readonly rollout: Semaphore;
  /** Builds the lost image again. Called once for each start that failed for want of it. */
  readonly onImageMissing: (pool: Pool) => Promise<void>;
  /** Whether this process holds the pool's lease, as far as it can know. */
  readonly isHeld: (poolKey: string) => boolean;
}
