import { Fault } from "../../domain/fault.ts";
import type { RuntimeRows } from "../store.ts";
import { type Database, json } from "./database.ts";
import { toRuntime } from "./rows.ts";

/** Ended Runtimes that a Pool's history keeps at least. */
const HISTORY = 200;

export function createRuntimeRows(db: Database): RuntimeRows {
  return {
    create: (runtime) =>
      db.run(async (prisma) => {
        const { id, poolKey, slot, generation, containerName, specHash } = runtime;
        const row = await prisma.runtime.create({
          data: { id, poolKey, slot, generation, containerName, specHash },
        });
        await prisma.runtime.deleteMany({
          where: { poolKey, state: "ended", generation: { lt: generation - HISTORY } },
        });
        return toRuntime(row);
      }),
    setContainer: (id, containerId) =>
      db.run(async (prisma) => {
        assertThere((await prisma.runtime.updateMany({ where: { id }, data: { containerId } })).count, id);
      }),
    setState: (id, state) =>
      db.run(async (prisma) => {
        await prisma.$executeRaw`
          UPDATE berth_runtimes SET state = ${state},
            ready_at = CASE WHEN ${state} = 'ready' THEN coalesce(ready_at, clock_timestamp()) ELSE ready_at END
          WHERE id = ${id} AND state <> 'ended'`;
        assertThere(await prisma.runtime.count({ where: { id } }), id);
      }),
    end: (id, end) =>
      db.run(async (prisma) => {
        // The first end is the true one; whoever comes later only found the body.
        await prisma.runtime.updateMany({
          where: { id, state: { not: "ended" } },
          data: { state: "ended", endedAt: new Date(), end: json(end) },
        });
        assertThere(await prisma.runtime.count({ where: { id } }), id);
      }),
    listLive: () =>
      db.run(async (prisma) =>
        (
          await prisma.runtime.findMany({
            where: { state: { not: "ended" } },
            orderBy: [{ startedAt: "desc" }, { id: "desc" }],
          })
        ).map(toRuntime),
      ),
    listOfPool: (poolKey, limit) =>
      db.run(async (prisma) =>
        (
          await prisma.runtime.findMany({
            where: { poolKey },
            orderBy: [{ generation: "desc" }, { slot: "desc" }],
            take: limit,
          })
        ).map(toRuntime),
      ),
    find: (id) =>
      db.run(async (prisma) => {
        const row = await prisma.runtime.findUnique({ where: { id } });
        return row === null ? undefined : toRuntime(row);
      }),
    nextGeneration: (poolKey) =>
      db.run(async (prisma) => {
        const { _max } = await prisma.runtime.aggregate({ where: { poolKey }, _max: { generation: true } });
        return (_max.generation ?? 0) + 1;
      }),
  };
}

function assertThere(rows: number, id: string): void {
  if (rows === 0) throw new Fault("not_found", `There is no runtime ${id}.`);
}
