/** Every route of this door, in the order in which they are looked for. */
import type { HttpAppOptions } from "../app.ts";
import type { PingHub } from "../ping-hub.ts";
import { addDispatch } from "./dispatch/dispatch.ts";
import type { DifyDoor } from "./door.ts";
import { addInstalls } from "./installs.ts";
import { addRefusedRoutes } from "./later.ts";

export type DifyDeps = HttpAppOptions & { readonly pings: PingHub };

/** Adds the routes; none where no key opens them. */
export function addDify(door: DifyDoor, deps: DifyDeps): void {
  if (door.options.settings.key === undefined) return;
  addInstalls(door, deps);
  addDispatch(door, deps);
  addRefusedRoutes(door);
}
