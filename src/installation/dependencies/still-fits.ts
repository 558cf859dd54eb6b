import { Fault } from "../../domain/fault.ts";
import type { Installation } from "../../domain/installation.ts";
import { dependentJson, fits, formatNeed } from "../../domain/plugin-need.ts";

import type { Store } from "../../store/store.ts";
import { ofInstallation } from "./candidates.ts";

/**
 * Whether the others that need the Installation can go on with another package of it. Throws `dependency_in_use` with
 * their names and what each of them asks for.
 */
export async function assertStillFits(
  { dependencies }: Pick<Store, "dependencies">,
  installation: Installation,
  /** What it is to have. */
  identifier: string,
): Promise<void> {
  const next = ofInstallation({ ...installation, identifier });
  const left = (await dependencies.dependentsOf(installation.id)).filter(({ need }) => !fits(need, next));
  if (left.length === 0) return;
  const asked = left.map(({ pluginId, need }) => `${pluginId} needs ${formatNeed(need)}`).join(", ");
  throw new Fault(
    "dependency_in_use",
    `${identifier} does not fit those that need ${installation.pluginId}: ${asked}; change them first, or force it.`,
    { details: { needed_by: left.map(dependentJson), accepted: "force: true" } },
  );
}
