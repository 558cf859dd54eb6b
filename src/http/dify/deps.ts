import type { BodyReader } from "../bodies/body-reader.ts";
import type { HttpAppOptions } from "../options.ts";
import type { PingHub } from "../ping-hub.ts";

/** What routes of this door may need. */
export type DifyDeps = HttpAppOptions & { readonly pings: PingHub; readonly bodies: BodyReader };
