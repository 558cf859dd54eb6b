import type { InstallationId } from "../domain/ids.ts";

/** Installations of an earlier daemon whose images are still to be built, one after the other. */
export interface BuildPriority {
  /**
   * Moves the installation to the front. Resolves with its place among those that are not ready yet, from 1; undefined
   * where it is not one of them. Throws `store_unavailable`.
   */
  raise(id: InstallationId): Promise<{ readonly place: number; readonly of: number } | undefined>;
}
