/** An object of JSON whose members nobody has read yet. */
export type JsonMap = Readonly<Record<string, unknown>>;

export function isMap(value: unknown): value is JsonMap {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/**
 * Levels of objects and lists in what callers send. The plugins' SDK reads a request's line by a parser that takes 200
 * levels, of which the line is one, and answers a deeper one without its session, so that the call never ends. What a
 * plugin does with a value, wraps it and says it back, needs levels of its own.
 */
export const JSON_DEPTH_MAX = 128;
