import { compareVersions } from "./version.ts";

const NUMBER = String.raw`\d{1,4}(?:\.\d{1,4}){2}(?:-\w{1,16})?`;
const EXACT = new RegExp(`^${NUMBER}$`);
const FROM_TO = new RegExp(`^(${NUMBER})-(${NUMBER})$`);
const PLACES = /^(?:\d{1,4}|[xX])(?:\.(?:\d{1,4}|[xX])){2}$/;

/**
 * Whether a version is in a range of a dependency: `1.2.3` is only itself, `~1.2.3` ends below 1.3.0, `^1.2.3` below
 * 2.0.0 (`^0.2.3` below 0.3.0, `^0.0.3` below 0.0.4), an x in `1.x.x` stands for any number, `1.0.0-2.0.0` includes
 * both ends. A version with a tag, `1.3.0-beta`, is in a range only where the range has a tag with the same three
 * numbers. False where the text is not a range.
 */
export function fitsVersion(range: string, version: string): boolean {
  if (EXACT.test(range)) return compareVersions(range, version) === 0;
  if (PLACES.test(range)) return fitsPlaces(range, version);
  const [, first, last] = FROM_TO.exec(range) ?? [];
  if (first !== undefined && last !== undefined)
    return isAmong([first, last], version) && isFrom(first, version) && compareVersions(version, last) <= 0;
  const lowest = range.slice(1);
  const end = EXACT.test(lowest) ? endOf(range[0], lowest) : undefined;
  if (end === undefined) return false;
  return (
    isAmong([lowest], version) && isFrom(lowest, version) && compareVersions(numbersOf(version), end) < 0
  );
}

/** The first version after a range with `~` or `^`. */
function endOf(sign: string | undefined, lowest: string): string | undefined {
  const [major = 0, minor = 0, patch = 0] = numbersOf(lowest).split(".").map(Number);
  if (sign === "~") return `${major}.${minor + 1}.0`;
  if (sign !== "^") return undefined;
  if (major > 0) return `${major + 1}.0.0`;
  return minor > 0 ? `0.${minor + 1}.0` : `0.0.${patch + 1}`;
}

function fitsPlaces(range: string, version: string): boolean {
  const numbers = version.split(".");
  return (
    !hasTag(version) &&
    range.split(".").every((place, at) => /x/i.test(place) || Number(place) === Number(numbers[at]))
  );
}

function isFrom(lowest: string, version: string): boolean {
  return compareVersions(version, lowest) >= 0;
}

function isAmong(ends: readonly string[], version: string): boolean {
  return !hasTag(version) || ends.some((end) => hasTag(end) && numbersOf(end) === numbersOf(version));
}

function hasTag(version: string): boolean {
  return version.includes("-");
}

function numbersOf(version: string): string {
  return version.split("-")[0] ?? "";
}
