/**
 * `./dev test` proves each guarantee once, with short clocks and few cases; `./dev test soak` runs full lengths. A test
 * says both numbers where it uses them.
 */
const SOAK = process.env["BERTH_TEST_SOAK"] === "1";

export function length(lengths: { readonly short: number; readonly soak: number }): number {
  return SOAK ? lengths.soak : lengths.short;
}

/**
 * Far below every clock that would run out otherwise, on a machine whose processors are all taken. How soon exactly is
 * for the bench to say.
 */
export const SOON_MS = 20_000;
