/** Masks secrets for display, and restores those that are sent back masked. */
import { isSecret, type SettingField } from "../../domain/endpoint.ts";
import type { JsonMap } from "../../domain/json.ts";

/** In bytes, as the daemon counts them: a secret up to this length is masked completely. */
const HIDDEN_BYTES_MAX = 6;
const SHOWN_BYTES = 2;

/** Secrets show their first and last two bytes; everything else is unchanged. */
export function maskSettings(settings: JsonMap, fields: readonly SettingField[]): JsonMap {
  const secrets = secretNames(fields);
  return Object.fromEntries(
    Object.entries(settings).map(([name, value]) => [
      name,
      secrets.has(name) && typeof value === "string" ? mask(value) : value,
    ]),
  );
}

/** A secret sent back in its masked form keeps its current value. */
export function unmaskSettings(given: JsonMap, current: JsonMap, fields: readonly SettingField[]): JsonMap {
  const shown = maskSettings(current, fields);
  const secrets = secretNames(fields);
  return Object.fromEntries(
    Object.entries(given).map(([name, value]) => {
      const isKept = secrets.has(name) && typeof value === "string" && Object.hasOwn(shown, name);
      return [name, isKept && shown[name] === value ? current[name] : value];
    }),
  );
}

export function secretNames(fields: readonly SettingField[]): ReadonlySet<string> {
  return new Set(fields.filter(isSecret).map(({ name }) => name));
}

/** Whether the value looks like a masked secret. */
export function looksMasked(value: unknown): boolean {
  return typeof value === "string" && /^\*+$|\*{3}/.test(value);
}

function mask(secret: string): string {
  const bytes = Buffer.from(secret);
  if (bytes.length <= HIDDEN_BYTES_MAX) return "*".repeat(bytes.length);
  const [first, last] = [bytes.subarray(0, SHOWN_BYTES), bytes.subarray(-SHOWN_BYTES)];
  return `${first.toString()}${"*".repeat(bytes.length - 2 * SHOWN_BYTES)}${last.toString()}`;
}
