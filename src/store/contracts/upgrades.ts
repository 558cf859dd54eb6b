import type { Actor } from "../../domain/audit.ts";
import type { InstallationId } from "../../domain/ids.ts";

/** An upgrade that an upload brought and that is no task yet. */
export interface UpgradeDue {
  readonly installationId: InstallationId;
  readonly identifier: string;
  readonly by: Actor;
}

/** Lines come with `packages.put` and go with `acceptChange`; an Installation has one at most. */
export interface UpgradeRows {
  /** Oldest first; those of one package, or all that are older than `minAgeMs`. */
  listDue(
    filter: { readonly identifier: string } | { readonly minAgeMs: number },
    limit: number,
  ): Promise<readonly UpgradeDue[]>;
  /** Unless a newer package has taken its place. */
  forget(due: Pick<UpgradeDue, "installationId" | "identifier">): Promise<void>;
}
