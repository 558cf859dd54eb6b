/**
 * Host folders of Runtimes: what the Container sees read-only as `/run/berth`. The path follows from the data
 * folder and the Runtime's id alone, so that any process finds it and opens its own socket there.
 */
import { chmod, copyFile, mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { RuntimeId } from "../domain/ids.ts";

export interface RuntimeFolders {
  pathOf(id: RuntimeId): string;
  /** Makes the folder with runner and CA bundle; repeated, it does nothing. */
  prepare(id: RuntimeId): Promise<string>;
  remove(id: RuntimeId): Promise<void>;
  list(): Promise<readonly RuntimeId[]>;
}

export function createRuntimeFolders({
  dataFolder,
  runnerFile,
  caBundleFile,
}: {
  readonly dataFolder: string;
  readonly runnerFile: string;
  readonly caBundleFile: string | undefined;
}): RuntimeFolders {
  const root = join(dataFolder, "run");
  const pathOf = (id: RuntimeId) => join(root, id);
  return {
    pathOf,
    async prepare(id) {
      const folder = pathOf(id);
      await mkdir(folder, { recursive: true, mode: 0o755 });
      // A plugin runs as a uid of its own: whatever the umask was, it must be able to look in, never to write.
      await chmod(folder, 0o755);
      await place(runnerFile, join(folder, "runner.py"));
      if (caBundleFile !== undefined) await place(caBundleFile, join(folder, "ca.pem"));
      return folder;
    },
    remove: (id) => rm(pathOf(id), { recursive: true, force: true }),
    async list() {
      const names = await readdir(root).catch(() => []);
      return names.flatMap((name) => {
        const id = RuntimeId.safeParse(name);
        return id.success ? [id.data] : [];
      });
    },
  };
}

/** Copied, not linked: a link would show the plugin the file's inode, and would not cross file systems. */
async function place(from: string, to: string): Promise<void> {
  await copyFile(from, to);
  await chmod(to, 0o644);
}
