import { randomUUID } from "node:crypto";
import { chmod, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/**
 * Replaces a file atomically, readable by everybody whatever the umask: a reader gets the old content or the new, never
 * a part. On failure, for example a full disk, the old file stays and no draft is left. `draftFolder`: on the same
 * disk, for a folder in which drafts must not be seen.
 */
export async function replaceFile(
  path: string,
  content: Buffer | string,
  { draftFolder = dirname(path) }: { readonly draftFolder?: string } = {},
): Promise<void> {
  const draft = join(draftFolder, `${basename(path)}.${randomUUID()}`);
  try {
    await writeFile(draft, content);
    await chmod(draft, 0o644);
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}
