import type { PingHub } from "../answers/sse.ts";
import type { BodyReader } from "../bodies/body-reader.ts";
import type { HttpAppOptions } from "../options.ts";

/** What routes of this door may need. */
export type DifyDeps = HttpAppOptions & { readonly pings: PingHub; readonly bodies: BodyReader };
