import { storableJson } from "../../../util/storable.ts";
import type { Tx } from "../client/database.ts";
import { Prisma } from "../generated/client.ts";

/** The message that a daemon itself writes when it is stopped in an orderly way. */
const MESSAGE = "An unexpected daemon shutdown occurred";

/** A row `t` that a daemon left unfinished. */
export const DAEMON_TASKS = Prisma.sql`t.status IN ('pending', 'running')
  AND NOT EXISTS (SELECT 1 FROM berth_tasks b WHERE b.id = t.id)`;

/**
 * Ends install tasks that a daemon left running, oldest first; answers how many. Berth's own have a task of the same id,
 * which ends them.
 */
export async function endDaemonTasks(tx: Tx, limit: number): Promise<number> {
  const rows = await tx.$queryRaw<{ id: string; plugins: string | null }[]>`
    SELECT t.id, t.plugins FROM install_tasks t WHERE ${DAEMON_TASKS}
    ORDER BY t.id LIMIT ${limit} FOR UPDATE OF t`;
  for (const { id, plugins } of rows)
    await tx.$executeRaw`
      UPDATE install_tasks SET status = 'failed', plugins = ${ended(plugins)}, updated_at = clock_timestamp()
      WHERE id = ${id}::uuid`;
  return rows.length;
}

function ended(plugins: string | null): string | null {
  const items = parse(plugins);
  if (!Array.isArray(items)) return plugins;
  return storableJson(
    items.map((item: unknown) => (isOpen(item) ? { ...item, status: "failed", message: MESSAGE } : item)),
  );
}

function isOpen(item: unknown): item is object {
  if (typeof item !== "object" || item === null) return false;
  const status: unknown = Reflect.get(item, "status");
  return status === "pending" || status === "running";
}

function parse(text: string | null): unknown {
  try {
    return JSON.parse(text ?? "null");
  } catch {
    return undefined;
  }
}
