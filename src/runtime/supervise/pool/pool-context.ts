import type { RestartPolicy } from "./restart-policy.ts";
import type { StartRequests } from "./start-requests.ts";
import type { SupervisedRuntimes } from "./supervised-runtimes.ts";
import type { SupervisorDeps } from "./supervisor-deps.ts";

/**
 * What the parts of one pool's supervision share: starting, recovering, rolling out, scaling, draining and reaping. The
 * supervisor makes it, and it lives as long as the supervisor.
 */
export interface PoolContext {
  readonly key: string;
  /** Their `lifetime` aborts with the process or when this process gives up the pool's lease. */
  readonly deps: SupervisorDeps;
  /** The observed state: the runtimes that this process supervises. */
  readonly runtimes: SupervisedRuntimes;
  readonly restarts: RestartPolicy;
  readonly requests: StartRequests;
  /** Asks for one more pass; never throws. */
  readonly scheduleReconcile: () => void;
}
