import { toFault } from "../domain/fault.ts";
import type { Log } from "../observe/log.ts";
import type { SealKeys } from "../util/sealed-text.ts";

const AT_ONCE = 100;

export interface ResealRows<Row extends { readonly id: string }> {
  /** `op` of the log line. */
  readonly op: string;
  readonly keys: SealKeys;
  readonly log: Log;
  readonly rows: {
    /** Rows with something that another key has encrypted, by id, from the one after `afterId`. */
    sealedOtherwise(keyId: string, afterId: Row["id"] | undefined, limit: number): Promise<readonly Row[]>;
  };
  /** The first write wins. A row that cannot be decrypted stays unchanged. */
  readonly reseal: (row: Row) => Promise<"resealed" | "unreadable">;
}

/**
 * Encrypts again, with the first key, what another key has encrypted, so that the other key can be removed. Safe beside
 * concurrent updates. Never throws; logs one line with the counts, or none where there was nothing to do.
 */
export async function resealRows<Row extends { readonly id: string }>(
  { op, keys, log, rows, reseal }: ResealRows<Row>,
  signal: AbortSignal,
): Promise<void> {
  const { id: keyId } = keys.first;
  const counts = { resealed: 0, unreadable: 0 };
  try {
    let last: Row | undefined;
    do {
      const found = await rows.sealedOtherwise(keyId, last?.id, AT_ONCE);
      for (const row of found) if (!signal.aborted) counts[await reseal(row)] += 1;
      last = found.at(-1);
    } while (last !== undefined && !signal.aborted);
    if (counts.resealed + counts.unreadable === 0) return;
    log.info({ op, ok: counts.unreadable === 0, key: keyId, ...counts });
  } catch (error) {
    log.warn({ op, ok: false, ...counts, err: toFault(error) });
  }
}
