import { Fault } from "../../domain/fault.ts";
import type { Installation } from "../../domain/installation.ts";
import { dependentJson, fits, formatNeed } from "../../domain/plugin-need.ts";
import type { Store } from "../../store/store.ts";
import { ofInstallation } from "./candidates.ts";

/**
 * Throws `dependency_in_use`, with the names and needs, where a plugin that depends on the installation does not accept
 * the other package.
 */
export async function assertStillFits(
  { dependencies }: Pick<Store, "dependencies">,
  installation: Installation,
  /** The package that the installation is to have. */
  identifier: string,
): Promise<void> {
  const next = ofInstallation({ ...installation, identifier });
  const left = (await dependencies.dependentsOf(installation.id)).filter(({ need }) => !fits(need, next));
  if (left.length === 0) return;
  const asked = left.map(({ pluginId, need }) => `${pluginId} needs ${formatNeed(need)}`).join(", ");
  throw new Fault(
    "dependency_in_use",
    `${identifier} does not fit the plugins that need ${installation.pluginId}: ${asked}; change them first, or force it.`,
    { details: { needed_by: left.map(dependentJson), accepted: "force: true" } },
  );
}
