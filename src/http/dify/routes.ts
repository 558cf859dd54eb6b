/** Every route of the Dify door, in the order in which they are matched. */
import { addDebuggingKeys } from "./debugging-key.ts";
import type { DifyDeps } from "./deps.ts";
import { addDispatch } from "./dispatch/dispatch.ts";
import type { DifyDoor } from "./door.ts";
import { addEndpoints } from "./endpoints.ts";
import { addInstalls } from "./installs.ts";
import { addAssets } from "./management/assets.ts";
import { addInstallations } from "./management/installations.ts";
import { addPackages } from "./management/packages.ts";
import { addProviders } from "./management/providers.ts";
import { addUploads } from "./management/uploads.ts";
import { addRefusedRoutes } from "./unsupported-routes.ts";

/** Adds the routes; none where no key is set. */
export function addDify(door: DifyDoor, deps: DifyDeps): void {
  if (door.options.settings.key === undefined) return;
  addUploads(door, deps);
  addPackages(door, deps);
  addInstallations(door, deps);
  addProviders(door, deps);
  addAssets(door, deps);
  addInstalls(door, deps);
  addEndpoints(door, deps);
  addDispatch(door, deps);
  addDebuggingKeys(door, deps);
  addRefusedRoutes(door);
}
