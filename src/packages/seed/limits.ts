import type { LimitsAsked } from "../../domain/limits.ts";
import type { Source } from "../yaml-source.ts";

const MEGABYTE = 1_048_576;

interface Quantity {
  readonly key: string;
  readonly unit: string;
  /** Suffix of a number in a text: `"256MB"`. */
  readonly suffixes: Readonly<Record<string, number>>;
  readonly min: number;
  readonly max: number;
  readonly byDefault: number;
}

const MEGABYTES = { MB: 1, MiB: 1, GB: 1024, GiB: 1024 };
const MEMORY: Quantity = {
  key: "memory",
  unit: "MB",
  suffixes: MEGABYTES,
  min: 16,
  max: 65_536,
  byDefault: 256,
};
const STORAGE: Quantity = { ...MEMORY, key: "storage", min: 1, max: 1_048_576, byDefault: 100 };
const CONCURRENCY: Quantity = {
  key: "max_concurrent_requests",
  unit: "calls at a time",
  suffixes: {},
  min: 1,
  max: 10_000,
  byDefault: 10,
};
const TIMEOUT: Quantity = {
  key: "timeout",
  unit: "seconds",
  suffixes: { s: 1, m: 60, min: 60 },
  min: 1,
  max: 3_600,
  byDefault: 30,
};

/**
 * Reads the resource block of the seed dialect: sizes in MB, time in seconds, a default for each. Throws
 * `manifest_invalid` for a value out of bounds, with the unit that was likely meant.
 */
export function readSeedLimits(resource: Source): LimitsAsked & { readonly memoryBytes: number } {
  if (!resource.isEmpty && !resource.isMap) throw resource.refuse("a map: memory, storage, ...");
  return {
    memoryBytes: read(resource, MEMORY) * MEGABYTE,
    memoryIsHard: true,
    storageBytes: read(resource, STORAGE) * MEGABYTE,
    concurrencyMax: read(resource, CONCURRENCY),
    timeoutMs: read(resource, TIMEOUT) * 1000,
  };
}

function read(resource: Source, quantity: Quantity): number {
  const at = resource.get(quantity.key);
  if (at.isEmpty) return quantity.byDefault;
  const value = at.number ?? parseQuantity(at.text ?? "", quantity);
  const { min, max, unit } = quantity;
  if (value === undefined || !Number.isInteger(value) || value < min || value > max) {
    throw at.refuse(`a whole number of ${unit} from ${min} to ${max}${likelyMeant(value, quantity)}`);
  }
  return value;
}

function parseQuantity(text: string, { suffixes }: Quantity): number | undefined {
  const match = /^(\d{1,9}) ?([A-Za-z]+)$/.exec(text);
  const factor = suffixes[match?.[2] ?? ""];
  return factor === undefined ? undefined : Number(match?.[1]) * factor;
}

function likelyMeant(value: number | undefined, { unit, max }: Quantity): string {
  if (value === undefined || value <= max) return "";
  if (unit === "MB" && value >= MEGABYTE) {
    return ` (${value} looks like bytes, that is ${Math.round(value / MEGABYTE)} MB)`;
  }
  if (unit === "seconds") return ` (${value} looks like milliseconds, that is ${Math.round(value / 1000)} s)`;
  return "";
}
