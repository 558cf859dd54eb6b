/** A batch: installs and upgrades that are asked for together and do not depend on each other. */
import { z } from "zod";

const BatchItem = z.object({
  identifier: z.string(),
  /** Of an upgrade: the identifier that it replaces. */
  original: z.string().optional(),
  /** Where it comes from, in the client's own words. */
  source: z.string(),
  meta: z.record(z.string(), z.unknown()),
});
export type BatchItem = z.infer<typeof BatchItem>;

/** The input of a `batch` task. */
export const BatchInput = z.object({ items: z.array(BatchItem) });
