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
        budget_bytes: Bytes.nullable().meta({ description: "`null`: only what is of no use goes" }),
        reclaimable_bytes: Bytes,
        reclaimable_count: Bytes,
        reclaimable: z
          .array(ReclaimableSchema.omit({ kind: true }))
          .meta({ description: "What nothing needs, the largest 200" }),
        held_bytes: Bytes,
        held_count: Bytes,
        held: z
          .array(z.object({ what: z.string(), bytes: Bytes, by: z.array(z.string()) }))
          .meta({ description: "What stays and who needs it, the largest 200" }),
      }),
    ),
  })
  .openapi("DiskReport");

export const DiskCollectionSchema = z
  .object({
    id: z.string(),
    created_at: z.string().meta({ format: "date-time" }),
    finished_at: z.string().nullable().meta({ description: "`null`: it goes on; ask for it again" }),
    dry_run: z.boolean(),
    bytes: Bytes.nullable().meta({ description: "That it took, or as a dry run would take" }),
    taken: z.array(ReclaimableSchema),
    left: z.array(ReclaimableSchema).meta({ description: "That it tried to take, and why they stayed" }),
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
