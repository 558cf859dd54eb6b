import type { FaultJson } from "./fault.ts";
import type { InstallationId, TenantId } from "./ids.ts";
import type { Limits, LimitsAsked, LimitsWanted } from "./limits.ts";
import type { PermissionsChosen } from "./permission.ts";
import type { TrustDecision } from "./trust.ts";

export type DesiredState = "enabled" | "disabled" | "removed";

/**
 * `installing` until its first `ready`; `failed` after an install that failed; `crash_loop` while its pool has given
 * up; `removing` until the uninstall is done.
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

/** Where packages come from. */
export const SOURCES = ["package", "github", "marketplace", "url"] as const;
/** The source of a plugin that its author runs and has connected for debugging. */
export const REMOTE = "remote";

/** The fact that a tenant has a package. A tenant has at most one installation of a plugin. */
export interface Installation {
  readonly id: InstallationId;
  readonly tenantId: TenantId;
  readonly pluginId: string;
  readonly identifier: string;
  readonly previousIdentifier: string | undefined;
  /** Key of the image that served the previous identifier: a rollback starts it without a build. */
  readonly previousImageKey: string | undefined;
  readonly desired: DesiredState;
  readonly state: InstallationState;
  readonly cause: FaultJson | undefined;
  /** Grows by one with each change of what runs. */
  readonly generation: number;
  readonly limitsAsked: LimitsAsked;
  readonly limitsGranted: Limits;
  /** What its tenant chose in place of what the manifest asks; kept through upgrades. */
  readonly limitsWanted: LimitsWanted;
  /** What the operator grants or refuses of what the manifest asks; kept through upgrades. */
  readonly permissions: PermissionsChosen;
  /** The pool that serves it, once the build is done. */
  readonly poolKey: string | undefined;
  /** The pool that a change has made and that does not serve yet; counts as in use. */
  readonly nextPoolKey: string | undefined;
  /** Where the package came from: `package`, `github`, `marketplace`, `url`; `remote` for a debug connection. */
  readonly source: string;
  readonly meta: Readonly<Record<string, unknown>>;
  /** What the operator should know: a newer Python, a lowered limit. */
  readonly warnings: readonly string[];
  /** The decision on its package's signature; undefined before the step that verifies it, and from older releases. */
  readonly trust: TrustDecision | undefined;
  readonly createdAt: Date;
  readonly updatedAt: Date;
}
