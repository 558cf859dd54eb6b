import type { InstallationId, TaskId, TenantId } from "../../domain/ids.ts";
import type { Dependent, PluginNeed } from "../../domain/plugin-need.ts";
import type { Accepted } from "./answers.ts";

/** One installation's need of another, as its package declares it. */
export interface DependencyLink {
  readonly tenantId: TenantId;
  readonly needingId: InstallationId;
  /** The package that needs it: another version of the same plugin may need others. */
  readonly identifier: string;
  readonly neededId: InstallationId;
  readonly need: PluginNeed;
}

/** What happened to an installation that a task no longer holds. */
export type DroppedHold =
  /** It stays: others need it, or it was requested by itself. */
  | { readonly outcome: "kept" }
  | { readonly outcome: "gone" }
  | { readonly outcome: "removing"; readonly removal: Accepted };

/**
 * Dependencies between installations, and the holds of unfinished tasks. A task holds the installations that were made for
 * it: once it is `ready` they stay, or the tasks that it was made for hold them; where it is undone, it drops its holds.
 */
export interface DependencyRows {
  /** Records a dependency; repeated, it changes nothing. Throws `conflict` where the needed one is being uninstalled, or is gone. */
  add(link: DependencyLink): Promise<void>;
  /** The dependencies of the installation, with any of its packages. */
  needsOf(id: InstallationId): Promise<readonly DependencyLink[]>;
  /** Installations that need it, without those that are being uninstalled. */
  dependentsOf(id: InstallationId): Promise<readonly Dependent[]>;
  /** Removes the installation's dependencies with that package. */
  drop(needingId: InstallationId, identifier: string): Promise<void>;
  heldBy(taskId: TaskId): Promise<readonly InstallationId[]>;
  /** The tasks that hold the installation; empty where it was requested by itself. */
  holdersOf(id: InstallationId): Promise<readonly TaskId[]>;
  /**
   * Drops the task's hold. Where nothing else needs the installation, accepts its uninstall below the task, which holds it
   * until it is gone. Dependents that the task holds itself do not count.
   */
  dropHold(taskId: TaskId, id: InstallationId): Promise<DroppedHold>;
  /** Drops all holds of the task; its installations stay. */
  release(taskId: TaskId): Promise<void>;
}
