import type { IncomingMessage, ServerResponse } from "node:http";

/** Node's own request and response; a test that asks without a server has neither. */
export type HttpEnv = { Bindings: { incoming?: IncomingMessage; outgoing?: ServerResponse } };
