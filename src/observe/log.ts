import { type DestinationStream, type Logger, type LoggerOptions, pino } from "pino";
import { createOutput } from "./output.ts";

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
const STDOUT = 1;

/**
 * A log that writes to `destination`, or to standard output. There, lines are buffered for a moment; an error and the end
 * of the process flush the buffer, so that only a killed process loses its last lines.
 */
export function createLog({ level, destination }: { level: string; destination?: DestinationStream }): Log {
  const options = {
    level,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label: string) => ({ level: label }) },
  };
  return destination === undefined ? gathered(options) : wrap(pino(options, destination), () => undefined);
}

function gathered(options: LoggerOptions): Log {
  const output = createOutput(STDOUT);
  return wrap(pino(options, output), (isUrgent) => {
    if (isUrgent) output.flush();
  });
}

/** The library's redaction by paths takes twice as long as the rest of a line. */
function wrap(logger: Logger, written: (isUrgent: boolean) => void): Log {
  const write =
    (level: "debug" | "info" | "warn" | "error") =>
    (fields: object, message?: string): void => {
      logger[level](redact(fields), message);
      written(level === "error");
    };
  return {
    debug: write("debug"),
    info: write("info"),
    warn: write("warn"),
    error: write("error"),
    child: (fields) => wrap(logger.child(redact(fields)), written),
  };
}

/** Answers the fields themselves if none is secret, which is nearly always and costs no copy. */
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

/** A log that writes nothing, for tests. */
export const silentLog: Log = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLog,
};
