/** A JSON object whose members are not checked yet. */
export type JsonMap = Readonly<Record<string, unknown>>;

export function isMap(value: unknown): value is JsonMap {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A member of an object of any form; undefined where it has none, or is no object. */
export function member(value: unknown, key: string): unknown {
  return typeof value === "object" && value !== null ? Reflect.get(value, key) : undefined;
}

export function listOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

/**
 * Levels of objects and lists in what callers send. The plugins' SDK reads a request's line with a parser that accepts
 * 200 levels, one of which is the line. It answers a deeper one without its session, so that the call never ends. A
 * plugin that wraps a value and sends it back needs some levels of its own.
 */
export const JSON_DEPTH_MAX = 128;
