import { type DestinationStream, pino } from "pino";

/**
 * The log: JSON lines with ids as fields. One wide event per unit of work (`op` as `noun.verb`, `ok`,
 * `duration_ms`, `code`, ids); an outage is logged once, not once per retry.
 */
export interface Log {
  debug(fields: object, message?: string): void;
  info(fields: object, message?: string): void;
  warn(fields: object, message?: string): void;
  error(fields: object, message?: string): void;
  child(fields: object): Log;
}

/** Keys that never reach the log, wherever they stand in the fields. */
const REDACTED = [
  "env",
  "*.env",
  "credentials",
  "*.credentials",
  "authorization",
  "*.authorization",
  "password",
  "*.password",
];

export function createLog({ level, destination }: { level: string; destination?: DestinationStream }): Log {
  const options = {
    level,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
    redact: { paths: REDACTED, censor: "[redacted]" },
  };
  return destination === undefined ? pino(options) : pino(options, destination);
}

/** A log that says nothing, for tests that do not look at it. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
};
