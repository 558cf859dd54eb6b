import { randomUUID } from "node:crypto";
import { chmod, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";

/**
 * Puts a file in place whole, readable by everybody whatever the umask: who opens it meanwhile reads the old one or the
 * new one, never half of one. Where that fails, as on a full disk, the old one stays and nothing else. `draftFolder`: on
 * the same disk, for a folder in which nobody is to see drafts.
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
