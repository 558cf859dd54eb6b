import type { Actor } from "../../domain/audit.ts";
import type { InstallationId } from "../../domain/ids.ts";

/** An automatic upgrade after an upload that has no task yet. */
export interface UpgradeDue {
  readonly installationId: InstallationId;
  readonly identifier: string;
  readonly by: Actor;
}

/** `packages.put` writes a row, `acceptChange` removes it; an installation has at most one. */
export interface UpgradeRows {
  /** Due upgrades to one package, or all that are older than `minAgeMs`; oldest first. */
  listDue(
    filter: { readonly identifier: string } | { readonly minAgeMs: number },
    limit: number,
  ): Promise<readonly UpgradeDue[]>;
  /** Removes it, unless a newer package has replaced it. */
  forget(due: Pick<UpgradeDue, "installationId" | "identifier">): Promise<void>;
}
