/** The value below which the share `q` (0 to 1) of the samples lies; NaN without samples. */
export function quantile(samples: ArrayLike<number>, q: number): number {
  const sorted = Float64Array.from(samples).sort();
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * q))] ?? Number.NaN;
}

export function median(samples: ArrayLike<number>): number {
  return quantile(samples, 0.5);
}

/** Field by field, the median over the rounds. */
export function medians<K extends string>(rounds: readonly Readonly<Record<K, number>>[]): Record<K, number> {
  const [first] = rounds;
  if (first === undefined) throw new Error("there is no round to take a median of");
  const result: Record<K, number> = { ...first };
  for (const key in first) result[key] = median(rounds.map((round) => round[key]));
  return result;
}
