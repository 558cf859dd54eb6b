/** Delay before the attempt after `failures` failures: doubling from `firstMs`, never more than `maxMs`. */
export function backoffMs(failures: number, { firstMs, maxMs }: { firstMs: number; maxMs: number }): number {
  return Math.min(maxMs, firstMs * 2 ** Math.max(0, Math.min(failures, 30) - 1));
}
