/** Wheels that were built from source, kept beside the installer's cache under the hash of what they were built of. */
import { mkdir, readdir, rename, utimes } from "node:fs/promises";
import { join } from "node:path";

export interface BuiltWheels {
  /** Path of the wheel; using it counts as its last use. Undefined where it was not built yet. */
  find(key: string): Promise<string | undefined>;
  /** Takes over a file on the same disk as the cache; resolves with its path there. */
  keep(key: string, file: string, name: string): Promise<string>;
}

export function createBuiltWheels(cacheFolder: string): BuiltWheels {
  const folderOf = (key: string) => join(cacheFolder, "built-v1", key);
  return {
    async find(key) {
      const names = await readdir(folderOf(key)).catch(() => []);
      const name = names.find((found) => found.endsWith(".whl"));
      if (name === undefined) return undefined;
      const path = join(folderOf(key), name);
      const now = new Date();
      await utimes(path, now, now);
      return path;
    },
    async keep(key, file, name) {
      await mkdir(folderOf(key), { recursive: true });
      const path = join(folderOf(key), name);
      await rename(file, path);
      return path;
    },
  };
}
