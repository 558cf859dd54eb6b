/** A batch: installs and upgrades that were asked for together and that do not depend on each other. */
import { z } from "zod";

const BatchItem = z.object({
  identifier: z.string(),
  /** Of an upgrade: what it leaves. */
  original: z.string().optional(),
  /** As it was given, in any words. */
  source: z.string(),
  meta: z.record(z.string(), z.unknown()),
});
export type BatchItem = z.infer<typeof BatchItem>;

/** The input of a `batch` task. */
export const BatchInput = z.object({ items: z.array(BatchItem) });
