/** A disk of one test, which it fills and empties. */
import { execFile } from "node:child_process";
import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);
const MIB = 1_048_576;

export interface SmallDisk extends AsyncDisposable {
  /** Fills the disk until it is disposed. */
  fill(): Promise<AsyncDisposable>;
}

/** Mounted over the folder, which is made; needs root. */
export async function mountSmallDisk(path: string, { mib }: { readonly mib: number }): Promise<SmallDisk> {
  await mkdir(path, { recursive: true });
  await run("mount", ["-t", "tmpfs", "-o", `size=${mib}m,mode=755`, "tmpfs", path]);
  const ballast = join(path, "ballast");
  return {
    async fill() {
      for (let bytes = mib * MIB; bytes >= 1; bytes = Math.floor(bytes / 2))
        await writeFile(ballast, Buffer.alloc(bytes), { flag: "a" }).catch(isFull);
      return { [Symbol.asyncDispose]: () => rm(ballast, { force: true }) };
    },
    [Symbol.asyncDispose]: async () => {
      await run("umount", ["--lazy", path]);
    },
  };
}

function isFull(error: NodeJS.ErrnoException): void {
  if (error.code !== "ENOSPC") throw error;
}
