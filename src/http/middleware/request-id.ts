import { randomUUID } from "node:crypto";

/** The caller's own id where it is one that a log line can hold, else a new one. */
export function requestId(header: string | undefined): string {
  return header !== undefined && /^[\w.:-]{1,128}$/.test(header) ? header : randomUUID();
}
