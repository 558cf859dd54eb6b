import type { LabelFilter } from "../../../src/engine/engine.ts";

/** Whether the labels have every key of the filter, with its value where the filter gives one. */
export function matchLabels(labels: Readonly<Record<string, string>>, filter: LabelFilter): boolean {
  return Object.entries(filter).every(([key, value]) =>
    value === "" ? labels[key] !== undefined : labels[key] === value,
  );
}
