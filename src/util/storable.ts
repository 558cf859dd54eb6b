/**
 * Text that both databases take. PostgreSQL stores neither the character U+0000 nor half a surrogate pair: one of them
 * makes it refuse the whole row. Plugins, packages and builds say what they like, so each is replaced by U+FFFD.
 */

/** The text itself where there is nothing to replace. */
export function storableText(text: string): string {
  return (text.includes("\0") ? text.replaceAll("\0", "\ufffd") : text).toWellFormed();
}

/** The value as JSON, keys and texts storable at every depth; throws what `JSON.stringify` throws. */
export function storableJson(value: unknown): string {
  const text = JSON.stringify(value);
  return SUSPECT.test(text) ? JSON.stringify(storableValue(JSON.parse(text))) : text;
}

/** `JSON.stringify` escapes surrogates only where they stand alone. */
const SUSPECT = /\\u(0000|d[89a-f])/;

function storableValue(value: unknown): unknown {
  if (typeof value === "string") return storableText(value);
  if (Array.isArray(value)) return value.map(storableValue);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [storableText(key), storableValue(inner)]),
  );
}
