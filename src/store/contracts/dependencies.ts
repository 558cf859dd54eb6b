import type { InstallationId, TaskId, TenantId } from "../../domain/ids.ts";
import type { Dependent, PluginNeed } from "../../domain/plugin-need.ts";

import type { Accepted } from "./answers.ts";

/** One Installation's need of another, as the Package said it. */
export interface DependencyLink {
  readonly tenantId: TenantId;
  readonly needingId: InstallationId;
  /** The Package that needs it: another version of the same plugin may need others. */
  readonly identifier: string;
  readonly neededId: InstallationId;
  readonly need: PluginNeed;
}

/** What became of an Installation that a task let go. */
export type DroppedHold =
  /** Others need it, or somebody asked for it: it stays. */
  | { readonly outcome: "kept" }
  | { readonly outcome: "gone" }
  | { readonly outcome: "removing"; readonly removal: Accepted };

/**
 * Who needs whom, and which Installations are there only for a task that has not ended. A task holds what was made for
 * it until it ends: at `ready` they stay, or become those of the task that waits for it; undone, they are let go.
 */
export interface DependencyRows {
  /** Repeated, it changes nothing. Throws `conflict` where the needed one is being uninstalled, or is gone. */
  add(link: DependencyLink): Promise<void>;
  /** What the Installation needs, with whichever of its Packages. */
  needsOf(id: InstallationId): Promise<readonly DependencyLink[]>;
  /** Those that are being uninstalled aside. */
  dependentsOf(id: InstallationId): Promise<readonly Dependent[]>;
  /** The Installation needs nothing with that Package any more. */
  drop(needingId: InstallationId, identifier: string): Promise<void>;
  heldBy(taskId: TaskId): Promise<readonly InstallationId[]>;
  /** The tasks that an Installation is there for; empty where somebody asked for it by itself. */
  holdersOf(id: InstallationId): Promise<readonly TaskId[]>;
  /**
   * The task needs it no more. Where nobody else does, its uninstall is accepted below the task, which goes on holding
   * it until it is gone. Dependents that the task holds itself do not count.
   */
  dropHold(taskId: TaskId, id: InstallationId): Promise<DroppedHold>;
  /** The task holds nothing any more; what it held stays. */
  release(taskId: TaskId): Promise<void>;
}
