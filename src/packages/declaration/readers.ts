/**
 * Readers of declarations: they read the YAML files of packages and bundles into the JSON that is stored and shown, and
 * tell the plugin's author in which file and line a value is wrong. The JSON of the daemon's requests and answers is not
 * read by these but by shapes (`Shape`), which use the same words and refuse nothing while they read.
 */
import { compareUtf8 } from "../archive/checksum.ts";
import type { Json, JsonObject, Source } from "../yaml-source.ts";

/**
 * Reads one value. What is absent becomes its type's empty value and a value of a wrong type is refused; everything
 * else that a stricter validator would object to is a warning. `undefined` leaves a key out of a struct.
 */
export type Reader<T extends Json | undefined = Json | undefined> = (at: Source) => T;

export interface TextRules {
  /** Warns when it is empty. */
  readonly needed?: boolean;
  readonly charsMax?: number;
  readonly oneOf?: readonly string[];
  readonly pattern?: RegExp;
}

export function text(rules: TextRules = {}): Reader<string> {
  return (at) => {
    if (at.isEmpty) {
      if (rules.needed === true) at.warn("is missing");
      return "";
    }
    const value = at.text;
    if (value === undefined) throw at.refuse("a text");
    if (rules.needed === true && value === "") at.warn("is empty");
    if (rules.charsMax !== undefined && value.length > rules.charsMax) {
      at.warn(`has ${value.length} characters; expected at most ${rules.charsMax}`);
    }
    if (value !== "" && rules.oneOf !== undefined && !rules.oneOf.includes(value)) {
      at.warn(`is ${JSON.stringify(value)}; expected one of ${rules.oneOf.join(", ")}`);
    }
    if (value !== "" && rules.pattern !== undefined && !rules.pattern.test(value)) {
      at.warn(`is ${JSON.stringify(value)}; expected ${rules.pattern.source}`);
    }
    return value;
  };
}

export const flag: Reader<boolean> = (at) => {
  if (at.isEmpty) return false;
  const value = at.flag;
  if (value === undefined) throw at.refuse("true or false");
  return value;
};

export const number: Reader<number> = (at) => {
  if (at.isEmpty) return 0;
  const value = at.number;
  if (value === undefined || !Number.isFinite(value)) throw at.refuse("a number without quotes");
  return value;
};

export const integer: Reader<number> = (at) => {
  const value = number(at);
  if (!Number.isSafeInteger(value)) throw at.refuse("a whole number");
  return value;
};

/** Any value, as JSON, with the keys of its maps in their order as bytes. */
export const any: Reader<Json> = (at) => sorted(at.toJson());

function sorted(value: Json): Json {
  if (isList(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).toSorted(([a], [b]) => compareUtf8(a, b));
  return Object.fromEntries(entries.map(([key, inner]) => [key, sorted(inner)]));
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

/** A map of anything. */
export const anyMap: Reader<JsonObject> = (at) => {
  if (!at.isEmpty && !at.isMap) throw at.refuse("a map");
  const entries = at.keys.toSorted(compareUtf8).map((key): [string, Json] => [key, any(at.get(key))]);
  return Object.fromEntries(entries);
};

/** null where nothing is written. */
export function optional<T extends Json | undefined>(read: Reader<T>): Reader<T | null> {
  return (at) => (at.isEmpty ? null : read(at));
}

/** No key where nothing is written. */
export function omitted<T extends Json | undefined>(read: Reader<T>): Reader<T | undefined> {
  return (at) => (at.isEmpty ? undefined : read(at));
}

/** null where nothing is written; items that are null are not there. */
export function list(read: Reader<Json>, itemsMax?: number): Reader<readonly Json[] | null> {
  return (at) => {
    if (at.isEmpty) return null;
    if (!at.isList) throw at.refuse("a list");
    const { items } = at;
    if (itemsMax !== undefined && items.length > itemsMax) {
      at.warn(`has ${items.length} items; expected at most ${itemsMax}`);
    }
    return items.filter((item) => !item.isEmpty).map((item) => read(item));
  };
}

/** An empty list where nothing is written. */
export function listOrEmpty(read: Reader<Json>, itemsMax?: number): Reader<readonly Json[]> {
  const inner = list(read, itemsMax);
  return (at) => inner(at) ?? [];
}

/** Keys in the order of the fields; keys that no field names are ignored. */
export function struct(fields: Readonly<Record<string, Reader>>): Reader<JsonObject> {
  const readers = Object.entries(fields);
  return (at) => {
    if (!at.isEmpty && !at.isMap) throw at.refuse("a map");
    const pairs: [string, Json][] = [];
    for (const [key, read] of readers) {
      const value = read(at.get(key));
      if (value !== undefined) pairs.push([key, value]);
    }
    return Object.fromEntries(pairs);
  };
}

const LANGUAGES = ["en_US", "ja_JP", "zh_Hans", "pt_BR"] as const;
const I18N_CHARS_MAX = 1023;

/** A text in up to four languages; others are dropped. `en_US` is always there. */
export function i18n({ needed }: { needed: boolean }): Reader<JsonObject> {
  const read = text({ charsMax: I18N_CHARS_MAX });
  return (at) => {
    if (!at.isEmpty && !at.isMap) throw at.refuse("a map of languages, with en_US");
    const pairs: [string, string][] = [];
    for (const language of LANGUAGES) {
      const value = read(at.get(language));
      if (value !== "" || language === "en_US") pairs.push([language, value]);
    }
    if (needed && pairs[0]?.[1] === "") at.warn("has no English text (en_US)");
    return Object.fromEntries(pairs);
  };
}
