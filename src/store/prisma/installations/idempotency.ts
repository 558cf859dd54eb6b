import { Fault } from "../../../domain/fault.ts";
import type { Installation } from "../../../domain/installation.ts";
import type { Task, TenantTask } from "../../../domain/task.ts";
import type { IdempotencyClaim } from "../../contracts/answers.ts";
import { jsonValue, type Tx } from "../client/database.ts";

/** The first answer to this key, as JSON; undefined where there is none. A concurrent request with the key waits here for the first one. */
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

/** Writes the answer in the transaction of the acceptance. */
export async function keepAnswer(tx: Tx, { holder, key }: IdempotencyClaim, answer: object): Promise<void> {
  await tx.idempotency.update({
    where: { holder_key: { holder, key } },
    data: { answer: jsonValue(answer) },
  });
}

/** The first answer of an idempotency key. It is of this kind: other requests have another hash. */
export function toAnswer(value: unknown): { installation: Installation; task: Task; created: boolean } {
  const { installation, task, created } = value as ReturnType<typeof toAnswer>;
  const { createdAt, updatedAt, previousIdentifier, cause, poolKey, nextPoolKey, previousImageKey } =
    installation;
  return {
    installation: {
      ...installation,
      createdAt: new Date(createdAt),
      updatedAt: new Date(updatedAt),
      // JSON leaves out undefined fields.
      previousIdentifier,
      cause,
      poolKey,
      nextPoolKey,
      previousImageKey,
      limitsWanted: installation.limitsWanted ?? {},
    },
    task: withDates(task),
    created,
  };
}

export function toTaskAnswer(value: unknown): { task: TenantTask; created: boolean } {
  const { task, created } = value as ReturnType<typeof toTaskAnswer>;
  return { task: withDates(task), created };
}

function withDates<T extends Task>(task: T): T {
  const { createdAt, updatedAt, finishedAt, cause, parentId, identifier } = task;
  return {
    ...task,
    createdAt: new Date(createdAt),
    updatedAt: new Date(updatedAt),
    finishedAt: finishedAt === undefined ? undefined : new Date(finishedAt),
    cause,
    parentId,
    identifier,
    installationId: task.installationId,
    input: task.input ?? {},
    ending: task.ending,
  };
}
