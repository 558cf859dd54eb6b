/**
 * Shapes of JSON on the wire: they read what the daemon's structs would hold of a request, a plugin's chunk or an answer,
 * so that Berth accepts and refuses what the daemon does. The YAML files of packages are read not by these but by
 * readers (`Reader` of the declarations), which use the same words and name the file and line of a mistake.
 */

/**
 * Reads any value: what is absent, null or of another type becomes the type's zero, unknown members are dropped, names
 * match in any case. The rules come afterwards and name the fields that break them, as the daemon's validator does.
 */
import { isMap, type JsonMap } from "../../../domain/json.ts";

export interface Shape<T> {
  readonly zero: T;
  /** `at` is told where the value is of another type; what comes back then is the zero. */
  read(value: unknown, at: Reading): T;
  /** Rules of what is inside; those of the value itself belong to the field that holds it. */
  check?(value: T, path: string, broken: string[]): void;
}

export interface ReadingOptions {
  /** A form's values are texts: numbers and flags are read out of them. */
  readonly isForm?: boolean;
  /** Told of each value of another type. What it throws ends the reading. */
  readonly onMismatch?: (path: string, expected: string, value: unknown) => void;
}

/** One reading of one value: how it is read, and where in it the reader is. */
export class Reading {
  readonly isForm: boolean;
  readonly #onMismatch: ReadingOptions["onMismatch"];
  // a stack, so that a value without mistakes costs no text and no object for each of its members
  readonly #keys: (string | number)[] = [];

  constructor({ isForm = false, onMismatch }: ReadingOptions = {}) {
    this.isForm = isForm;
    this.#onMismatch = onMismatch;
  }

  /** Of the value that is being read: `delta.message.0.role`. */
  get path(): string {
    return this.#keys.join(".");
  }

  mismatch(expected: string, value: unknown): void {
    this.#onMismatch?.(this.path, expected, value);
  }

  enter(key: string | number): void {
    this.#keys.push(key);
  }

  leave(): void {
    this.#keys.pop();
  }
}

export type TypeOf<S> = S extends Shape<infer T> ? T : never;

/** A rule on one value, under the name that the validator knows it by. */
export interface Rule {
  readonly tag: string;
  readonly holds: (value: unknown) => boolean;
}

export const text: Shape<string> = {
  zero: "",
  read(value, at) {
    if (value === undefined || value === null) return "";
    if (typeof value === "string") return value;
    at.mismatch("string", value);
    return "";
  },
};

export const optionalText: Shape<string | null> = {
  zero: null,
  read: (value, at) => (value === undefined || value === null ? null : text.read(value, at)),
};

export const whole: Shape<number> = {
  zero: 0,
  read(value, at) {
    if (value === undefined || value === null) return 0;
    const given = at.isForm && typeof value === "string" && /^[+-]?\d+$/.test(value) ? Number(value) : value;
    if (typeof given === "number" && Number.isSafeInteger(given)) return given;
    at.mismatch("int", value);
    return 0;
  },
};

export const number: Shape<number> = {
  zero: 0,
  read(value, at) {
    if (value === undefined || value === null) return 0;
    if (typeof value === "number") return value;
    at.mismatch("float64", value);
    return 0;
  },
};

export const flag: Shape<boolean> = {
  zero: false,
  read(value, at) {
    if (value === undefined || value === null) return false;
    if (typeof value === "boolean") return value;
    if (at.isForm && /^(1|t|true)$/i.test(String(value))) return true;
    if (!at.isForm || !/^(0|f|false|)$/i.test(String(value))) at.mismatch("bool", value);
    return false;
  },
};

/** An object of anything, or null. */
export const map: Shape<JsonMap | null> = {
  zero: null,
  read(value, at) {
    if (value === undefined || value === null) return null;
    if (isMap(value)) return value;
    at.mismatch("map[string]interface {}", value);
    return null;
  },
};

export const anything: Shape<unknown> = {
  zero: null,
  read: (value) => value ?? null,
};

/** A list, or null. The rules of its items count where `dives` says so. */
export function list<T>(
  item: Shape<T>,
  { dives = true, rules = [] }: { readonly dives?: boolean; readonly rules?: readonly Rule[] } = {},
): Shape<readonly T[] | null> {
  return {
    zero: null,
    read(value, at) {
      if (value === undefined || value === null) return null;
      const given = at.isForm && !Array.isArray(value) ? [value] : value;
      if (!Array.isArray(given)) {
        at.mismatch("[]", value);
        return null;
      }
      return given.map((one: unknown, place) => {
        at.enter(place);
        const inner = item.read(one, at);
        at.leave();
        return inner;
      });
    },
    check(value, path, broken) {
      if (!dives || value === null || (rules.length === 0 && item.check === undefined)) return;
      for (const [place, one] of value.entries()) {
        const here = `${path}[${place}]`;
        const failed = firstBroken(rules, one);
        if (failed === undefined) item.check?.(one, here, broken);
        else broken.push(complaint(here, failed.tag));
      }
    },
  };
}

export interface Field<T> {
  readonly shape: Shape<T>;
  /** The first that is broken is the one that is named. */
  readonly rules: readonly Rule[];
  /** The struct's name of it, where it is not the usual one of its JSON name. */
  readonly name?: string;
  /** Left out where it is the zero, where it is null, or only where it is not given. */
  readonly isOmitted?: "zero" | "null" | "absent";
}

type Fields = Readonly<Record<string, Field<unknown>>>;
type Struct<F extends Fields> = { readonly [K in keyof F]: F[K] extends Field<infer T> ? T : never };

export function field<T>(shape: Shape<T>, ...rules: readonly Rule[]): Field<T> {
  return { shape, rules };
}

/** Whose zero is refused. */
export function needed<T>(shape: Shape<T>, ...rules: readonly Rule[]): Field<T> {
  return { shape, rules: [required, ...rules] };
}

export function named<T>(name: string, { shape, rules }: Field<T>): Field<T> {
  return { shape, rules, name };
}

/** Left out where it is the zero; its rules count otherwise. */
export function omitted<T>(shape: Shape<T>, ...rules: readonly Rule[]): Field<T> {
  const counting = rules.map(({ tag, holds }) => ({
    tag,
    holds: (value: unknown) => isZero(value) || holds(value),
  }));
  return { shape, rules: counting, isOmitted: "zero" };
}

/** Left out where it is not given; a null that is given stays. */
export function asGiven<T>(shape: Shape<T>): Field<T> {
  return { shape, rules: [], isOmitted: "absent" };
}

/** Left out where it is null; any other zero stays. */
export function unlessNull<T>(shape: Shape<T>): Field<T> {
  return { shape, rules: [], isOmitted: "null" };
}

/** Every field is there, in the order of the declaration. */
export function struct<F extends Fields>(fields: F): Shape<Struct<F>> {
  const known = Object.entries(fields).map(([key, one]) => ({
    ...one,
    key,
    lower: key.toLowerCase(),
    name: one.name ?? goName(key),
  }));
  return {
    get zero() {
      return Object.fromEntries(
        known.filter(({ isOmitted }) => isOmitted === undefined).map(({ key, shape }) => [key, shape.zero]),
      ) as Struct<F>;
    },
    read(value, at) {
      if (value !== undefined && value !== null && !isMap(value)) at.mismatch("struct", value);
      const given = isMap(value) ? value : {};
      const out: Record<string, unknown> = {};
      for (const { key, lower, shape, isOmitted } of known) {
        const found = Object.hasOwn(given, key) ? given[key] : inAnyCase(given, lower);
        if (found === undefined && isOmitted !== undefined) continue;
        const inner = found === undefined ? shape.zero : readMember(shape, key, found, at);
        if (isOmitted === "zero" && isZero(inner)) continue;
        if (isOmitted !== "null" || inner !== null) out[key] = inner;
      }
      return out as Struct<F>;
    },
    check(value, path, broken) {
      for (const { key, name, rules, shape } of known) {
        const inner = (value as JsonMap)[key] ?? shape.zero;
        const failed = firstBroken(rules, inner);
        if (failed !== undefined) broken.push(complaint(below(path, name), failed.tag));
        else if (inner !== null) shape.check?.(inner, below(path, name), broken);
      }
    },
  };
}

/** A struct, or null; its rules count where it is there. */
export function pointer<T>(to: Shape<T>): Shape<T | null> {
  return {
    zero: null,
    read: (value, at) => (value === undefined || value === null ? null : to.read(value, at)),
    check: (value, path, broken) => value !== null && to.check?.(value, path, broken),
  };
}

const required: Rule = { tag: "required", holds: (value) => !isZero(value) };

/** A number's value, or the length of a text, list or object. */
export function min(bound: number): Rule {
  return { tag: "min", holds: (value) => sizeOf(value) >= bound };
}

export function max(bound: number): Rule {
  return { tag: "max", holds: (value) => sizeOf(value) <= bound };
}

export function oneOf(accepted: readonly string[]): Rule {
  return { tag: "oneof", holds: (value) => accepted.includes(String(value)) };
}

/** An empty list or object is there, and so is no zero. */
function isZero(value: unknown): boolean {
  return value === undefined || value === null || value === "" || value === 0 || value === false;
}

function sizeOf(value: unknown): number {
  if (typeof value === "number") return value;
  if (typeof value === "string") return [...value].length;
  if (Array.isArray(value)) return value.length;
  return isMap(value) ? Object.keys(value).length : 0;
}

function complaint(path: string, tag: string): string {
  const name = path.slice(path.lastIndexOf(".") + 1);
  return `Key: '${path}' Error:Field validation for '${name}' failed on the '${tag}' tag`;
}

function below(path: string, name: string): string {
  return path === "" ? name : `${path}.${name}`;
}

function firstBroken(rules: readonly Rule[], value: unknown): Rule | undefined {
  for (const rule of rules) if (!rule.holds(value)) return rule;
  return undefined;
}

function readMember<T>(shape: Shape<T>, key: string, value: unknown, at: Reading): T {
  at.enter(key);
  const inner = shape.read(value, at);
  at.leave();
  return inner;
}

function inAnyCase(given: JsonMap, lower: string): unknown {
  for (const key in given)
    if (key.length === lower.length && key.toLowerCase() === lower && Object.hasOwn(given, key))
      return given[key];
  return undefined;
}

/** `plugin_id` → `PluginID`: how the daemon's structs are named; initials that it writes otherwise are given by name. */
function goName(key: string): string {
  return key
    .split("_")
    .map((word) =>
      word === "id" ? "ID" : word === "url" ? "URL" : word.charAt(0).toUpperCase() + word.slice(1),
    )
    .join("");
}
