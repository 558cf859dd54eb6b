/**
 * Text that both databases accept. PostgreSQL stores neither the character U+0000 nor half a surrogate pair: either
 * makes it refuse the whole row. Texts of plugins, packages and builds may contain them, so each is replaced by U+FFFD.
 */

/** Returns the text unchanged where there is nothing to replace. */
export function storableText(text: string): string {
  return (text.includes("\0") ? text.replaceAll("\0", "\ufffd") : text).toWellFormed();
}

/** The value as JSON, with storable keys and texts at every depth; throws what `JSON.stringify` throws. */
export function storableJson(value: unknown): string {
  const text = JSON.stringify(value);
  return SUSPECT.test(text) ? JSON.stringify(storableValue(JSON.parse(text))) : text;
}

/** `JSON.stringify` escapes only lone surrogates. */
const SUSPECT = /\\u(0000|d[89a-f])/;

function storableValue(value: unknown): unknown {
  if (typeof value === "string") return storableText(value);
  if (Array.isArray(value)) return value.map(storableValue);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [storableText(key), storableValue(inner)]),
  );
}
