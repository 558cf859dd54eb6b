import { Fault } from "../../../domain/fault.ts";
import type { IdempotencyClaim } from "../../contracts/answers.ts";
import { jsonValue, type Tx } from "../client/database.ts";

/** The first answer to this key, as JSON; undefined where there is none. A concurrent request with it waits here until the first one has its answer. */
export async function claimKey(tx: Tx, { holder, key, requestHash }: IdempotencyClaim): Promise<unknown> {
  const claimed = await tx.$executeRaw`
    INSERT INTO berth_idempotency AS known (holder, key, request_hash)
    VALUES (${holder}, ${key}, ${requestHash})
    ON CONFLICT (holder, key) DO UPDATE SET request_hash = excluded.request_hash, answer = NULL,
      created_at = excluded.created_at
    WHERE known.created_at <= clock_timestamp() - interval '24 hours'`;
  if (claimed > 0) {
    await tx.$executeRaw`
      DELETE FROM berth_idempotency WHERE created_at <= clock_timestamp() - interval '24 hours'`;
    return undefined;
  }
  const known = await tx.idempotency.findUniqueOrThrow({ where: { holder_key: { holder, key } } });
  if (known.requestHash !== requestHash)
    throw new Fault("idempotency_mismatch", "This Idempotency-Key was used with another request.", {
      details: { field: "Idempotency-Key", value: key, accepted: "the same request, or a new key" },
    });
  return known.answer;
}

/** Written in the transaction of what was accepted. */
export async function keepAnswer(tx: Tx, { holder, key }: IdempotencyClaim, answer: object): Promise<void> {
  await tx.idempotency.update({
    where: { holder_key: { holder, key } },
    data: { answer: jsonValue(answer) },
  });
}
