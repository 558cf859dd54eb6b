import { randomUUID } from "node:crypto";

/** The caller's own id where it fits a log line, else a new one. */
export function requestId(header: string | undefined): string {
  return header !== undefined && /^[\w.:-]{1,128}$/.test(header) ? header : randomUUID();
}
