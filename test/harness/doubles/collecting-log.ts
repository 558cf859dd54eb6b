import { type Log, silentLog } from "../../../src/observe/log.ts";

/** Appends the fields of every line to `into`, whatever its level. */
export function collectingLog(into: Record<string, unknown>[]): Log {
  const keep = (fields: object) => void into.push({ ...fields });
  const log: Log = { ...silentLog, info: keep, warn: keep, error: keep, child: () => log };
  return log;
}
