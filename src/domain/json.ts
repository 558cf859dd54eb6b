/** A JSON object whose members are not checked yet. */
export type JsonMap = Readonly<Record<string, unknown>>;

export function isMap(value: unknown): value is JsonMap {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Levels of objects and lists in what callers send. The plugins' SDK reads a request's line with a parser that accepts
 * 200 levels, one of which is the line. It answers a deeper one without its session, so that the call never ends. A
 * plugin that wraps a value and sends it back needs some levels of its own.
 */
export const JSON_DEPTH_MAX = 128;
