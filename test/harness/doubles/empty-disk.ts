import { randomUUID } from "node:crypto";
import type { DiskCare } from "../../../src/installation/disk/disk-care.ts";
import type { DiskRun } from "../../../src/store/contracts/disk.ts";

/** Answers of a worker whose disk is empty; no rows behind them. */
export const emptyDisk: DiskCare = {
  report: () => Promise.resolve(aRun("report")),
  collect: ({ dryRun }) => Promise.resolve(aRun(dryRun ? "dry_run" : "collect")),
  find: () => Promise.resolve(undefined),
};

function aRun(kind: DiskRun["kind"]): DiskRun {
  const at = new Date(0);
  const collection = { dryRun: kind === "dry_run", bytes: 0, taken: [], left: [] };
  return {
    ...{ id: randomUUID(), kind, createdAt: at, finishedAt: at, cause: undefined },
    report: kind === "report" ? { areas: [] } : undefined,
    collection: kind === "report" ? undefined : collection,
  };
}
