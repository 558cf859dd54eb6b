/** The end of a change, whether it succeeded or not: the pools that it leaves, and the state of its installation. */
import type { FaultJson } from "../../../domain/fault.ts";
import type { InstallationTask, TaskEventData } from "../../../domain/task.ts";
import { jsonText, type Tx } from "../client/database.ts";
import type * as rows from "../generated/client.ts";

/** Moves the installation to its next pool. `isOther`: with another package. */
export async function movePools(
  tx: Tx,
  { id, poolKey, nextPoolKey }: rows.Installation,
  { isOther }: { readonly isOther: boolean },
): Promise<void> {
  if (isOther && poolKey !== null)
    await tx.$executeRaw`
      UPDATE berth_installations SET
        previous_image_key = (SELECT image_key FROM berth_pools WHERE key = ${poolKey})
      WHERE id = ${id}::uuid`;
  await tx.$executeRaw`
    UPDATE berth_installations SET pool_key = coalesce(next_pool_key, pool_key), next_pool_key = NULL
    WHERE id = ${id}::uuid`;
  for (const key of new Set([poolKey, nextPoolKey])) if (key !== null) await settlePool(tx, key);
}

/** A pool that no installation needs is removed once its calls have ended; one that only disabled ones need stops. */
async function settlePool(tx: Tx, key: string): Promise<void> {
  await tx.$executeRaw`
    UPDATE berth_pools SET
      wanted = wanted AND EXISTS (
        SELECT 1 FROM berth_installations
        WHERE (pool_key = ${key} OR next_pool_key = ${key}) AND desired = 'enabled'),
      retiring = NOT EXISTS (
        SELECT 1 FROM berth_installations
        WHERE (pool_key = ${key} OR next_pool_key = ${key}) AND desired <> 'removed')
    WHERE key = ${key}`;
}

/**
 * After a change that failed or was cancelled: removes the pool that it made; an installation that could not be enabled is
 * disabled as before, and one that had failed before shows the new cause.
 */
export async function undoChange(
  tx: Tx,
  taskId: string,
  { state, cause }: Extract<TaskEventData, { type: "end" }>,
): Promise<void> {
  const task = await tx.task.findUnique({ where: { id: taskId } });
  if (task === null || task.installationId === null || state === "ready") return;
  const kind = task.kind as InstallationTask["kind"];
  if (kind === "install" || kind === "uninstall") return;
  const id = task.installationId;
  await tx.$queryRaw`SELECT id FROM berth_installations WHERE id = ${id}::uuid FOR UPDATE`;
  const found = await tx.installation.findUnique({ where: { id } });
  if (found === null) return;
  await tx.installation.update({ where: { id }, data: { nextPoolKey: null } });
  if (kind === "enable")
    await show(tx, id, { from: "enabled", desired: "disabled", state: "disabled", cause });
  else if (found.state === "failed" && state === "failed")
    await show(tx, id, { from: found.desired, desired: found.desired, state: "failed", cause });
  for (const key of new Set([found.poolKey, found.nextPoolKey])) if (key !== null) await settlePool(tx, key);
}

async function show(
  tx: Tx,
  id: string,
  to: { from: string; desired: string; state: string; cause: FaultJson | undefined },
): Promise<void> {
  await tx.$executeRaw`
    UPDATE berth_installations SET desired = ${to.desired}, state = ${to.state}, cause = ${jsonText(to.cause)}::jsonb,
      updated_at = clock_timestamp()
    WHERE id = ${id}::uuid AND desired = ${to.from}`;
}
