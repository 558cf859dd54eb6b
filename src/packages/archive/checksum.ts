import { createHash } from "node:crypto";
import type { PackageFiles } from "./archive.ts";

/**
 * SHA-256 of each file's content, by path, in the order of the files; it holds one chunk in memory. Throws
 * `package_unsafe` where a content differs from what its entry claims.
 */
export async function digestsOf(files: PackageFiles): Promise<ReadonlyMap<string, Buffer>> {
  const digests = new Map<string, Buffer>();
  for (const path of files.paths) {
    const content = createHash("sha256");
    for await (const chunk of files.stream(path)) content.update(chunk);
    digests.set(path, content.digest());
  }
  return digests;
}

/**
 * The checksum in a package's identifier: SHA-256, in hex, over SHA-256(path) and SHA-256(content) of each file in the
 * order of the paths' UTF-8 bytes. The same files have the same checksum in any order and compression.
 */
export function checksumOf(digests: ReadonlyMap<string, Buffer>): string {
  const all = createHash("sha256");
  for (const [path, content] of [...digests].toSorted(([a], [b]) => compareUtf8(a, b)))
    all.update(createHash("sha256").update(path).digest()).update(content);
  return all.digest("hex");
}

/** Compares UTF-8 bytes: JavaScript compares UTF-16 units, which differ in order beyond the basic plane. */
export function compareUtf8(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
