import type { FaultJson } from "./fault.ts";
import type { InstallationId, TenantId } from "./ids.ts";
import type { Limits, LimitsAsked, LimitsWanted } from "./limits.ts";
import type { TrustDecision } from "./trust.ts";

export type DesiredState = "enabled" | "disabled" | "removed";

/**
 * `installing` until its first `ready`; `failed` when an install ended so; `crash_loop` while its Pool is given up;
 * `removing` until the uninstall is done.
 */
export type InstallationState = (typeof INSTALLATION_STATES)[number];
export const INSTALLATION_STATES = [
  "installing",
  "ready",
  "failed",
  "crash_loop",
  "disabled",
  "removing",
] as const;

/** Where Packages come from. */
export const SOURCES = ["package", "github", "marketplace", "url"] as const;

/** The fact that a Tenant has a Package. A Tenant has at most one Installation of a plugin id. */
export interface Installation {
  readonly id: InstallationId;
  readonly tenantId: TenantId;
  readonly pluginId: string;
  readonly identifier: string;
  readonly previousIdentifier: string | undefined;
  /** Key of the image that served the previous identifier: what a rollback starts without a build. */
  readonly previousImageKey: string | undefined;
  readonly desired: DesiredState;
  readonly state: InstallationState;
  readonly cause: FaultJson | undefined;
  /** Grows with each change of what runs. */
  readonly generation: number;
  readonly limitsAsked: LimitsAsked;
  readonly limitsGranted: Limits;
  /** What its Tenant chose instead of what the manifest asks; it stays through upgrades. */
  readonly limitsWanted: LimitsWanted;
  /** The Pool that serves it, once building is done. */
  readonly poolKey: string | undefined;
  /** The Pool that a change has made and that does not serve it yet; counts as in use. */
  readonly nextPoolKey: string | undefined;
  /** Where the Package came from: `package`, `github`, `marketplace`, `url`. */
  readonly source: string;
  readonly meta: Readonly<Record<string, unknown>>;
  /** What the operator should know: a newer Python, a limit that was lowered. */
  readonly warnings: readonly string[];
  /** What was decided about its Package; undefined before the step that verifies it, or where a release did that knew no trust. */
  readonly trust: TrustDecision | undefined;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}
