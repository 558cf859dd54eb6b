import { type DestinationStream, type Logger, pino } from "pino";

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

/** Keys whose value never reaches the log, at the top of the fields and one level below it. */
const SECRET = new Set(["env", "credentials", "authorization", "password", "secret", "token", "api_key"]);
const REDACTED = "[redacted]";

export function createLog({ level, destination }: { level: string; destination?: DestinationStream }): Log {
  const options = {
    level,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return wrap(destination === undefined ? pino(options) : pino(options, destination));
}

/** The library's own redaction, by paths, took twice as long as all the rest of a line. */
function wrap(logger: Logger): Log {
  return {
    debug: (fields, message) => logger.debug(redact(fields), message),
    info: (fields, message) => logger.info(redact(fields), message),
    warn: (fields, message) => logger.warn(redact(fields), message),
    error: (fields, message) => logger.error(redact(fields), message),
    child: (fields) => wrap(logger.child(redact(fields))),
  };
}

/** The fields themselves where nothing in them is secret: that is nearly always, and costs no copy. */
function redact(fields: object, isNested = false): object {
  let copy: Record<string, unknown> | undefined;
  for (const [key, value] of Object.entries(fields)) {
    const shown = shownAs(key, value, isNested);
    if (shown !== value) copy = { ...(copy ?? fields), [key]: shown };
  }
  return copy ?? fields;
}

function shownAs(key: string, value: unknown, isNested: boolean): unknown {
  if (SECRET.has(key)) return REDACTED;
  const isPlain = !isNested && value instanceof Object && !(value instanceof Error) && !Array.isArray(value);
  return isPlain ? redact(value, true) : value;
}

/** A log that says nothing, for tests that do not look at it. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
};
