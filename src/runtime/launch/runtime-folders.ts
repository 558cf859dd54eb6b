/**
 * Host folders of runtimes, which the container sees read-only as `/run/berth`. The path follows from the data folder
 * and the runtime's id alone, so that any process finds it and opens its own socket there.
 */
import { chmod, chown, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { RuntimeId } from "../../domain/ids.ts";
import type { PluginFileContent } from "../../domain/plugin-files.ts";
import { keptKeyFile, parseKeptKeyFile, RunnerKey } from "../../transport/runner-key.ts";
import { hostSocketName, parseHostSocketName } from "../../transport/transport.ts";
import { errorCode } from "../../util/error-code.ts";
import { replaceFile } from "../../util/replace-file.ts";
import type { CaBundle } from "./ca-bundle.ts";

export interface RuntimeFolders {
  pathOf(id: RuntimeId): string;
  /** Makes the folder of a new runtime with the files of `prepare`, the key of its runner, and its plugin's. Call it once. */
  create(id: RuntimeId, plugin?: PluginFolder): Promise<string>;
  /** Updates runner and CA bundle, also of a container that runs. */
  prepare(id: RuntimeId): Promise<string>;
  remove(id: RuntimeId): Promise<void>;
  list(): Promise<readonly RuntimeId[]>;
  /** Each process that has, or left, a socket in the runtime's folder. */
  listHosts(id: RuntimeId): Promise<readonly string[]>;
  /** Removes the socket of a process that died: the runner would dial it for ever. */
  removeHost(id: RuntimeId, processId: string): Promise<void>;
}

/** The files that the plugin finds in `/run/berth/files`. */
export interface PluginFolder {
  /** Id of the container's user. */
  readonly user: number;
  readonly files: readonly PluginFileContent[];
}

export function createRuntimeFolders({
  dataFolder,
  runnerFile,
  caBundle,
}: {
  readonly dataFolder: string;
  readonly runnerFile: string;
  readonly caBundle: CaBundle | undefined;
}): RuntimeFolders {
  const root = join(dataFolder, "run");
  const pathOf = (id: RuntimeId) => join(root, id);
  const prepare = async (id: RuntimeId): Promise<string> => {
    const folder = pathOf(id);
    await mkdir(folder, { recursive: true, mode: 0o755 });
    // A plugin has a uid of its own: whatever the umask is, it must be able to read and unable to write.
    await chmod(folder, 0o755);
    await place(await readFile(runnerFile), join(folder, "runner.py"));
    if (caBundle !== undefined) await place(caBundle.pem, join(folder, "ca.pem"));
    return folder;
  };
  return {
    pathOf,
    prepare,
    async create(id, plugin) {
      await mkdir(root, { recursive: true });
      // Other users of the host see nothing of it; a container sees its own folder only, whatever is above.
      await chmod(root, 0o700);
      const folder = pathOf(id);
      const key = await RunnerKey.keepNew(folder);
      await prepare(id);
      await key.handOut();
      if (plugin !== undefined && plugin.files.length > 0) await placeFiles(join(folder, "files"), plugin);
      return folder;
    },
    async remove(id) {
      await rm(pathOf(id), { recursive: true, force: true });
      await rm(keptKeyFile(pathOf(id)), { force: true });
    },
    async list() {
      const names = await readdir(root).catch(() => []);
      const ids = names.flatMap((name) => {
        const id = RuntimeId.safeParse(parseKeptKeyFile(name) ?? name);
        return id.success ? [id.data] : [];
      });
      return [...new Set(ids)];
    },
    async listHosts(id) {
      const names = await readdir(pathOf(id)).catch(() => []);
      return names.flatMap((name) => parseHostSocketName(name) ?? []);
    },
    removeHost: (id, processId) => rm(join(pathOf(id), hostSocketName(processId)), { force: true }),
  };
}

async function placeFiles(folder: string, { user, files }: PluginFolder): Promise<void> {
  await mkdir(folder);
  await chmod(folder, 0o755);
  for (const { name, content } of files) {
    const path = join(folder, name);
    await writeFile(path, content, { mode: 0o400, flag: "wx" });
    if (!(await isGiven(path, user))) await chmod(path, 0o444);
  }
}

/** Makes the plugin's user the owner: programs refuse a private key that others may read. Only root can do it. */
async function isGiven(path: string, user: number): Promise<boolean> {
  try {
    await chown(path, user, user);
    return true;
  } catch (error) {
    if (errorCode(error) === "EPERM") return false;
    throw error;
  }
}

/**
 * Replaces the file as a whole: a plugin that opens it meanwhile reads the old or the new one, never half of one. The
 * same content is not written again, so that a full disk does not prevent the adoption of a running container.
 */
async function place(content: Buffer | string, path: string): Promise<void> {
  const there = await readFile(path).catch(() => undefined);
  if (there?.equals(Buffer.from(content))) return;
  await replaceFile(path, content);
}
