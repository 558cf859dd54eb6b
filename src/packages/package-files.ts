import type { Readable } from "node:stream";
import type { Package } from "../domain/package.ts";
import { type Archive, openArchive, type PackageFiles } from "./archive/archive.ts";
import { Findings } from "./findings.ts";
import { openDialect, type ReadPackageOptions } from "./read-package.ts";

export type PackageFile =
  | { readonly type: "folder"; readonly path: string; readonly mode: 0o755 }
  | {
      readonly type: "file";
      readonly path: string;
      readonly mode: 0o644;
      readonly bytes: number;
      /** To be read to its end, or destroyed, before the next file is requested. */
      readonly content: Readable;
    };

/** A package's files by path, with those that its dialect adds. */
export interface PackageContents {
  readonly paths: readonly string[];
  /** Opens the archive anew. Throws `manifest_invalid` above the size limit of one file. */
  read(path: string): Promise<Buffer>;
}

/**
 * Every file and folder of the package's image, folders before their contents: the archive's entries and those that its
 * dialect adds. There is always a folder `_assets`, because the SDK requires it.
 */
export async function* packageFiles(
  archivePath: string,
  pkg: Package,
  options: ReadPackageOptions,
): AsyncGenerator<PackageFile> {
  await using archive = await openArchive(archivePath, options);
  const { files, overlay } = await openWithOverlay(archive, pkg, options);
  const sizes = new Map(archive.entries.map(({ path, bytes }) => [path, bytes]));
  for (const [path, bytes] of overlay) sizes.set(path, bytes.length);
  for (const path of foldersOf(files.paths)) yield { type: "folder", path, mode: 0o755 };
  for (const path of files.paths) {
    const content = files.stream(path);
    try {
      yield { type: "file", path, mode: 0o644, bytes: sizes.get(path) ?? 0, content };
    } finally {
      content.destroy();
    }
  }
}

/** What the files of the package say of its dependencies is read from these. */
export async function packageContents(
  archivePath: string,
  pkg: Package,
  options: ReadPackageOptions,
): Promise<PackageContents> {
  await using archive = await openArchive(archivePath, options);
  const { files } = await openWithOverlay(archive, pkg, options);
  return {
    paths: files.paths,
    read: async (path) => {
      await using again = await openArchive(archivePath, options);
      return await (await openWithOverlay(again, pkg, options)).files.read(path, options.entryBytesMax);
    },
  };
}

async function openWithOverlay(
  archive: Archive,
  pkg: Package,
  { yamlBytesMax }: ReadPackageOptions,
): Promise<{ files: PackageFiles; overlay: ReadonlyMap<string, Buffer> }> {
  const createdAt = String(pkg.declaration["created_at"]);
  return openDialect(archive, { findings: new Findings(), createdAt, yamlBytesMax });
}

function foldersOf(paths: readonly string[]): readonly string[] {
  const folders = new Set(["_assets"]);
  for (const path of paths) {
    for (let slash = path.indexOf("/"); slash >= 0; slash = path.indexOf("/", slash + 1)) {
      folders.add(path.slice(0, slash));
    }
  }
  return [...folders].sort();
}
