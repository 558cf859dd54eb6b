import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";

/** Bytes on disk of a file, or of a folder with its contents. What disappears meanwhile counts as nothing. */
export async function diskUsage(path: string, signal: AbortSignal): Promise<number> {
  signal.throwIfAborted();
  const found = await lstat(path).catch(() => undefined);
  if (found === undefined) return 0;
  const own = found.blocks * 512;
  if (!found.isDirectory()) return own;
  const names = await readdir(path).catch(() => []);
  let bytes = own;
  for (const name of names) bytes += await diskUsage(join(path, name), signal);
  return bytes;
}
