import type { Actor } from "../../../domain/audit.ts";
import { DiskCollection as Collection, type DiskCollection, DiskReport } from "../../../domain/disk.ts";
import { Fault, type FaultJson } from "../../../domain/fault.ts";
import type { DiskAnswer, DiskRun, DiskRunKind, DiskRunRows } from "../../contracts/disk.ts";
import { type Database, jsonValue, type Tx, uuid7 } from "../client/database.ts";
import type * as rows from "../generated/client.ts";
import { holdKey, writeEvent } from "../tenants/audit.ts";

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

export function createDiskRunRows(db: Database): DiskRunRows {
  return {
    ask: (kind, by) => db.transaction((tx) => ask(tx, kind, by)),
    find: (id) =>
      db.run(async (prisma) => {
        const row = UUID.test(id) ? await prisma.diskRun.findUnique({ where: { id } }) : null;
        return row === null ? undefined : toRun(row);
      }),
    listAsked: async () => {
      if (!(await db.watch.hasWork("diskRuns"))) return [];
      return await db.run(async (prisma) =>
        (
          await prisma.diskRun.findMany({
            where: { finishedAt: null },
            orderBy: [{ createdAt: "asc" }, { id: "asc" }],
          })
        ).map(toRun),
      );
    },
    finish: (id, answer, keep) =>
      db.transaction(async (tx) => {
        const data = { ...answerData(answer), finishedAt: new Date() };
        const { count } = await tx.diskRun.updateMany({ where: { id, finishedAt: null }, data });
        if (count === 0) throw new Fault("lease_lost", `The disk run ${id} is already answered.`);
        await writeResult(tx, id, "cause" in answer ? "failed" : "done");
        await forgetOld(tx, keep);
      }),
    record: (collection, keep) =>
      db.transaction(async (tx) => {
        const id = uuid7();
        const finishedAt = new Date();
        await tx.diskRun.create({ data: { id, kind: "collect", finishedAt, ...answerData({ collection }) } });
        await writeEvent(tx, { kind: "disk.collect", by: undefined, subject: id, result: "done" });
        await forgetOld(tx, keep);
      }),
  };
}

async function ask(tx: Tx, kind: DiskRunKind, by: Actor | undefined): Promise<DiskRun> {
  await holdKey(tx, by);
  // A report may share the answer of another one that began no earlier than it was requested.
  const row = await tx.diskRun.create({ data: { id: uuid7(), kind } });
  if (kind === "collect")
    await writeEvent(tx, { kind: "disk.collect", by, subject: row.id, result: "accepted" });
  return toRun(row);
}

async function writeResult(tx: Tx, subject: string, result: "done" | "failed"): Promise<void> {
  await tx.auditEvent.updateMany({
    where: { kind: "disk.collect", subject, result: "accepted" },
    data: { result },
  });
}

async function forgetOld(tx: Tx, keep: number): Promise<void> {
  await tx.$executeRaw`
    DELETE FROM berth_disk_runs WHERE finished_at IS NOT NULL AND id NOT IN (
      SELECT id FROM berth_disk_runs WHERE finished_at IS NOT NULL ORDER BY created_at DESC, id DESC LIMIT ${keep})`;
}

function answerData(answer: DiskAnswer) {
  if ("cause" in answer) return { cause: jsonValue(answer.cause) };
  return { result: jsonValue("report" in answer ? answer.report : answer.collection) };
}

function toRun(row: rows.DiskRun): DiskRun {
  const kind = row.kind as DiskRunKind;
  return {
    id: row.id,
    kind,
    createdAt: row.createdAt,
    finishedAt: row.finishedAt ?? undefined,
    report: kind === "report" && row.result !== null ? DiskReport.parse(row.result) : undefined,
    collection: kind !== "report" && row.result !== null ? toCollection(row.result) : undefined,
    cause: (row.cause ?? undefined) as FaultJson | undefined,
  };
}

function toCollection(value: unknown): DiskCollection {
  return Collection.parse(value);
}
