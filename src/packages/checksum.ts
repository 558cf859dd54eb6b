import { createHash } from "node:crypto";
import type { PackageFiles } from "./archive.ts";

/**
 * The checksum in a Package's identifier: SHA-256, in hex, over SHA-256(path) and SHA-256(content) of each file in
 * the order of the paths' UTF-8 bytes. Packing the same files again, in any order or compression, keeps it.
 * Holds one chunk of one file in memory. Throws `package_unsafe` where a content is not what its entry claims.
 */
export async function checksumOf(files: PackageFiles): Promise<string> {
  const all = createHash("sha256");
  for (const path of files.paths.toSorted(compareUtf8)) {
    all.update(createHash("sha256").update(path).digest());
    const content = createHash("sha256");
    for await (const chunk of files.stream(path)) content.update(chunk);
    all.update(content.digest());
  }
  return all.digest("hex");
}

/** By UTF-8 bytes: the language's own order compares UTF-16 units, and differs beyond the basic plane. */
export function compareUtf8(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b));
}
