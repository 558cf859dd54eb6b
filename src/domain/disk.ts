/** What Berth stores on disk: how much of each kind, who needs it, what may be removed. */
import { z } from "zod";

export const DISK_KINDS = [
  "images",
  "wheel_cache",
  "packages",
  "build_logs",
  "runtime_logs",
  "leftovers",
] as const;
export type DiskKind = (typeof DISK_KINDS)[number];

const Kind = z.enum(DISK_KINDS);
const Bytes = z.int().min(0);

/** One thing that nothing needs, and why it is removed or may be. */
const Reclaimable = z.object({ kind: Kind, what: z.string(), bytes: Bytes, reason: z.string() });
export type Reclaimable = z.infer<typeof Reclaimable>;

/** One thing that stays, and who needs it. */
const Held = z.object({ what: z.string(), bytes: Bytes, by: z.array(z.string()) });
export type Held = z.infer<typeof Held>;

const DiskArea = z.object({
  kind: Kind,
  bytes: Bytes,
  /** `null`: no budget. */
  budgetBytes: Bytes.nullable(),
  reclaimableBytes: Bytes,
  heldBytes: Bytes,
  /** The largest ones; `reclaimableCount` and `heldCount` count all. */
  reclaimable: z.array(Reclaimable),
  held: z.array(Held),
  reclaimableCount: z.int(),
  heldCount: z.int(),
});
export type DiskArea = z.infer<typeof DiskArea>;

export const DiskReport = z.object({ areas: z.array(DiskArea) });
export type DiskReport = z.infer<typeof DiskReport>;

/** What a collection removed, or would remove as a dry run. `left`: what it could not remove. */
export const DiskCollection = z.object({
  dryRun: z.boolean(),
  bytes: Bytes,
  taken: z.array(Reclaimable),
  left: z.array(Reclaimable),
});
export type DiskCollection = z.infer<typeof DiskCollection>;
