import { randomUUID } from "node:crypto";
import { mkdir, readdir, rm, stat } from "node:fs/promises";
import { join } from "node:path";

export interface Staging extends AsyncDisposable {
  readonly folder: string;
}

/** Creates a folder for one transfer; disposing removes it. */
export async function openStaging(root: string): Promise<Staging> {
  const folder = join(root, randomUUID());
  await mkdir(folder, { recursive: true, mode: 0o700 });
  return { folder, [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) };
}

/** Removes the folders of killed processes: those older than `ageMaxMs`. */
export async function clearStaging(root: string, ageMaxMs: number): Promise<void> {
  for (const name of await readdir(root).catch(() => [])) {
    const path = join(root, name);
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined && found.mtimeMs < Date.now() - ageMaxMs)
      await rm(path, { recursive: true, force: true });
  }
}
