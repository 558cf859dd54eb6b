/** What a name of dify-plugin-daemon's configuration means to Berth, and how its values are converted. */
import type { SettingName } from "../settings.ts";

/** A value as the setting of Berth takes it, nothing where Berth's own default is better, or what would be accepted. */
export type Converted =
  | { readonly is: string }
  | { readonly isDefault: true }
  | { readonly accepted: string };

export type DaemonRule =
  /** `unset`: what the daemon does where the name is not set, if Berth would do something else. */
  | {
      readonly does: "maps";
      readonly to: readonly SettingName[];
      readonly convert: (value: string) => Converted;
      readonly unset?: string;
      readonly isSecret?: true;
    }
  /** Several names make one setting. */
  | { readonly does: "part"; readonly of: readonly SettingName[]; readonly isSecret?: true }
  /** A setting of Berth has this name too. */
  | { readonly does: "same" }
  /** Ignored; one line at the start says why, or what to use instead. */
  | { readonly does: "ignored"; readonly why: string }
  /** The start is refused with any other value. */
  | { readonly does: "refused"; readonly unless: readonly string[]; readonly accepted: string };

const MIB = 1_048_576;
const MINUTE = 60;
/** As Go reads them. */
const TRUE = ["1", "t", "T", "TRUE", "true", "True"];
const FALSE = ["0", "f", "F", "FALSE", "false", "False"];

function asIs(value: string): Converted {
  return { is: value };
}

/** Undefined where the value is neither. */
export function flag(value: string | undefined, unset: boolean): boolean | undefined {
  if (value === undefined) return unset;
  if (TRUE.includes(value)) return true;
  return FALSE.includes(value) ? false : undefined;
}

export const FLAG_ACCEPTED = "true, false";

export function either(whenTrue: string, whenFalse: string): (value: string) => Converted {
  return (value) => {
    const given = flag(value, false);
    return given === undefined ? { accepted: FLAG_ACCEPTED } : { is: given ? whenTrue : whenFalse };
  };
}

/** Up to the next MiB. */
export function bytesInMib(value: string): Converted {
  return number(value, "a whole number of bytes", (bytes) => Math.max(1, Math.ceil(bytes / MIB)));
}

export function minutesInSeconds(value: string): Converted {
  return number(value, "a whole number of minutes", (minutes) => minutes * MINUTE);
}

export function count(value: string): Converted {
  return number(value, "a whole number", (given) => given);
}

export function seconds(value: string): Converted {
  return number(value, "a whole number of seconds", (given) => given);
}

/** Go's zero: the daemon's own default holds. */
function number(value: string, accepted: string, convert: (given: number) => number): Converted {
  if (!/^\d{1,15}$/.test(value)) return { accepted };
  return Number(value) === 0 ? { isDefault: true } : { is: String(convert(Number(value))) };
}

export function level(value: string): Converted {
  const levels = ["DEBUG", "INFO", "WARN", "ERROR"];
  return levels.includes(value) ? { is: value.toLowerCase() } : { accepted: levels.join(", ") };
}

/** The daemon's default is a third of Berth's, so only another value counts as chosen. */
export function lineBytes(value: string): Converted {
  return value === "5242880" ? { isDefault: true } : bytesInMib(value);
}

export function maps(
  to: readonly SettingName[],
  convert: (value: string) => Converted = asIs,
  more: { readonly unset?: string; readonly isSecret?: true } = {},
): DaemonRule {
  return { does: "maps", to, convert, ...more };
}

export function part(of: readonly SettingName[]): DaemonRule {
  return { does: "part", of };
}

export function secretPart(of: readonly SettingName[]): DaemonRule {
  return { does: "part", of, isSecret: true };
}

export function ignored(why: string): DaemonRule {
  return { does: "ignored", why };
}
