import type { Readable } from "node:stream";
import { Fault } from "../domain/fault.ts";
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

/** The files that name a package's dependencies, with their bytes. */
export type DependencySource =
  | { readonly kind: "uv-lock"; readonly pyproject: Buffer; readonly lock: Buffer }
  | { readonly kind: "pyproject"; readonly pyproject: Buffer }
  | { readonly kind: "requirements"; readonly requirements: Buffer };

const DEPENDENCY_BYTES_MAX = 8 * 1_048_576;

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

/** `pyproject.toml` wins over `requirements.txt`. Throws `manifest_missing` where the package has neither. */
export async function dependencySource(
  archivePath: string,
  pkg: Package,
  options: ReadPackageOptions,
): Promise<DependencySource> {
  await using archive = await openArchive(archivePath, options);
  const { files } = await openWithOverlay(archive, pkg, options);
  const read = (path: string) => files.read(path, DEPENDENCY_BYTES_MAX);
  if (files.has("pyproject.toml")) {
    const pyproject = await read("pyproject.toml");
    if (!files.has("uv.lock")) return { kind: "pyproject", pyproject };
    return { kind: "uv-lock", pyproject, lock: await read("uv.lock") };
  }
  if (files.has("requirements.txt"))
    return { kind: "requirements", requirements: await read("requirements.txt") };
  throw new Fault("manifest_missing", "The package does not list its dependencies.", {
    details: { field: "file", value: null, accepted: "pyproject.toml or requirements.txt at the root" },
  });
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
