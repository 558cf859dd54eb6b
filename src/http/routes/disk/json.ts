import { z } from "@hono/zod-openapi";
import { DISK_KINDS, type DiskArea, type DiskCollection, type Reclaimable } from "../../../domain/disk.ts";
import type { DiskRun } from "../../../store/contracts/disk.ts";

const Bytes = z.int();
const ReclaimableSchema = z.object({
  kind: z.enum(DISK_KINDS),
  what: z.string(),
  bytes: Bytes,
  reason: z.string(),
});

export const DiskReportSchema = z
  .object({
    measured_at: z.string().meta({ format: "date-time" }),
    areas: z.array(
      z.object({
        kind: z.enum(DISK_KINDS),
        bytes: Bytes,
        budget_bytes: Bytes.nullable().meta({
          description: "`null`: no budget, only unreferenced data is removed",
        }),
        reclaimable_bytes: Bytes,
        reclaimable_count: Bytes,
        reclaimable: z
          .array(ReclaimableSchema.omit({ kind: true }))
          .meta({ description: "Unreferenced data, the 200 largest" }),
        held_bytes: Bytes,
        held_count: Bytes,
        held: z
          .array(z.object({ what: z.string(), bytes: Bytes, by: z.array(z.string()) }))
          .meta({ description: "Data in use and its users, the 200 largest" }),
      }),
    ),
  })
  .openapi("DiskReport");

export const DiskCollectionSchema = z
  .object({
    id: z.string(),
    created_at: z.string().meta({ format: "date-time" }),
    finished_at: z.string().nullable().meta({ description: "`null`: still running; poll again" }),
    dry_run: z.boolean(),
    bytes: Bytes.nullable().meta({ description: "Bytes removed, or that a dry run would remove" }),
    taken: z.array(ReclaimableSchema),
    left: z.array(ReclaimableSchema).meta({ description: "Could not be removed, and why" }),
  })
  .openapi("DiskCollection");

export function reportJson(areas: readonly DiskArea[], at: Date): z.input<typeof DiskReportSchema> {
  return {
    measured_at: at.toISOString(),
    areas: areas.map((area) => ({
      kind: area.kind,
      bytes: area.bytes,
      budget_bytes: area.budgetBytes,
      reclaimable_bytes: area.reclaimableBytes,
      reclaimable_count: area.reclaimableCount,
      reclaimable: area.reclaimable.map(({ what, bytes, reason }) => ({ what, bytes, reason })),
      held_bytes: area.heldBytes,
      held_count: area.heldCount,
      held: area.held,
    })),
  };
}

export function collectionJson(run: DiskRun): z.input<typeof DiskCollectionSchema> {
  const { id, createdAt, finishedAt, kind, collection } = run;
  return {
    id,
    created_at: createdAt.toISOString(),
    finished_at: finishedAt?.toISOString() ?? null,
    dry_run: kind === "dry_run",
    ...thingsOf(collection),
  };
}

function thingsOf(collection: DiskCollection | undefined): {
  bytes: number | null;
  taken: Reclaimable[];
  left: Reclaimable[];
} {
  if (collection === undefined) return { bytes: null, taken: [], left: [] };
  const { bytes, taken, left } = collection;
  return { bytes, taken, left };
}
