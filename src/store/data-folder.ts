import { constants } from "node:fs";
import { access, mkdir, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Fault } from "../domain/fault.ts";

/**
 * Creates the data folder, or the one of another setting, where it is missing, and checks that this user can write to it
 * and to its existing contents. Throws `config_invalid`, which names the folder, the user and the command that fixes it.
 */
export async function prepareDataFolder(folder: string, setting = "BERTH_DATA"): Promise<void> {
  let tried = folder;
  try {
    await mkdir(folder, { recursive: true, mode: 0o711 });
    // A real write, because the file system may be read-only whatever the permissions.
    const probe = join(folder, `.write-check-${crypto.randomUUID()}`);
    await writeFile(probe, "", { flag: "wx" });
    await rm(probe);
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      if (!entry.isDirectory()) continue;
      tried = join(folder, entry.name);
      await access(tried, constants.R_OK | constants.W_OK | constants.X_OK);
    }
  } catch (cause) {
    throw notWritable({ setting, folder, tried }, cause);
  }
}

interface Folder {
  readonly setting: string;
  readonly folder: string;
  /** The folder, or the path in it that is not writable. */
  readonly tried: string;
}

function notWritable({ setting, folder, tried }: Folder, cause: unknown): Fault {
  const [uid, gid] = [process.getuid?.() ?? 0, process.getgid?.() ?? 0];
  const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
  const remedy =
    code === "EACCES" || code === "EPERM"
      ? `Run on the host, as root: mkdir -p ${folder} && chown -R ${uid}:${gid} ${folder}`
      : "Name a folder on a writable file system";
  return new Fault(
    "config_invalid",
    `${setting} is ${folder}, and the user ${uid} (group ${gid}) cannot write to ${tried} (${code}). ${remedy}.`,
    { details: { field: setting, value: folder, accepted: `a folder that ${uid}:${gid} may write to` } },
  );
}
