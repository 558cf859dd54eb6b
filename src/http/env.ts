import type { IncomingMessage, ServerResponse } from "node:http";

/** Node's own request and response; absent in a test without a server. */
export type HttpEnv = { Bindings: { incoming?: IncomingMessage; outgoing?: ServerResponse } };
