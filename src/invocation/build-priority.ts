import type { InstallationId } from "../domain/ids.ts";

/** Installations that were there before Berth and whose images are still to be built, one after the other. */
export interface BuildPriority {
  /**
   * Moves it to the front. Resolves with its place among those that are not ready yet, from 1; undefined where it is none
   * of them. Throws `store_unavailable`.
   */
  raise(id: InstallationId): Promise<{ readonly place: number; readonly of: number } | undefined>;
}
