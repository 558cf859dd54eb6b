/** Every route of this door, in the order in which they are looked for. */
import type { HttpAppOptions } from "../app.ts";
import type { PingHub } from "../ping-hub.ts";
import type { DifyDoor } from "./door.ts";

export type DifyDeps = HttpAppOptions & { readonly pings: PingHub };

/** Adds the routes; none where no key opens them. */
export function addDify(door: DifyDoor, _deps: DifyDeps): void {
  if (door.options.settings.key === undefined) return;
}
