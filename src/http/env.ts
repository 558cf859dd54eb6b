import { randomUUID } from "node:crypto";
import type { IncomingMessage, ServerResponse } from "node:http";

/** Node's own request and response; a test that asks without a server has neither. */
export type HttpEnv = { Bindings: { incoming?: IncomingMessage; outgoing?: ServerResponse } };

/** The caller's own id where it is one that a log line can hold, else a new one. */
export function requestId(header: string | undefined): string {
  return header !== undefined && /^[\w.:-]{1,128}$/.test(header) ? header : randomUUID();
}
