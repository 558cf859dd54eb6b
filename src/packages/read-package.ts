import { stat } from "node:fs/promises";
import { Readable } from "node:stream";
import type { LimitsAsked } from "../domain/limits.ts";
import type { Dialect, Package } from "../domain/package.ts";
import { formatPackageRef, formatPluginId } from "../domain/package-ref.ts";
import type { PluginNeed } from "../domain/plugin-need.ts";
import { type ArchiveLimits, fileTooLarge, openArchive, type PackageFiles } from "./archive/archive.ts";
import { checksumOf, digestsOf } from "./archive/checksum.ts";
import { readDeclaration } from "./declaration/declaration.ts";
import { readRunner } from "./declaration/manifest-fields.ts";
import { chooseManifest } from "./dialect.ts";
import { Findings } from "./findings.ts";
import { seedOverlay } from "./seed/overlay.ts";
import { readEvidence, type SignatureEvidence } from "./signature/evidence.ts";
import { parseYaml, type Source } from "./yaml-source.ts";

export interface ReadPackageOptions extends ArchiveLimits {
  /** Size of one YAML or JSON file: the time to parse one grows with it. */
  readonly yamlBytesMax: number;
  /** `names`: the declaration shows icons by their file names, not by their ids. */
  readonly icons?: "ids" | "names";
}

export const DEFAULT_READ_OPTIONS: ReadPackageOptions = {
  entriesMax: 10_000,
  entryBytesMax: 50 * 1_048_576,
  uncompressedBytesMax: 50 * 1_048_576,
  yamlBytesMax: 262_144,
};

/** A package with the evidence of its archive for a decision about trust. */
export interface ReadPackage extends Package {
  readonly evidence: SignatureEvidence;
}

/**
 * Reads the archive at `path` as a package: checks its paths and sizes, reads the manifest in either dialect and the
 * declaration, and computes checksum and identifier. `uploadedAt` stands in for a seed manifest's missing time. The same
 * bytes give the same package.
 * Throws `package_not_zip`, `package_unsafe`, `package_too_large`, `manifest_*`, `identifier_too_long`.
 */
export async function readPackage(
  path: string,
  uploadedAt: Date,
  options: ReadPackageOptions,
): Promise<ReadPackage> {
  const { size } = await stat(path);
  await using archive = await openArchive(path, options);
  const findings = new Findings();
  const createdAt = uploadedAt.toISOString();
  const read = await openDialect(archive, { findings, createdAt, yamlBytesMax: options.yamlBytesMax });
  const reading = { files: read.files, findings, yamlBytesMax: options.yamlBytesMax };
  const isSeed = read.dialect === "seed";
  const { icons = "ids" } = options;
  const { declaration, providers } = await readDeclaration(read.manifest, reading, {
    combinable: isSeed,
    icons,
  });
  const text = (key: string) => String(declaration[key] ?? "");
  const ref = { author: text("author"), name: text("name"), version: text("version") };
  formatPackageRef({ ...ref, checksum: "0".repeat(64) });
  if (!read.files.has("requirements.txt") && !read.files.has("pyproject.toml")) {
    findings.warn(
      "the package has neither pyproject.toml nor requirements.txt: no dependencies are installed for it",
    );
  }
  const digests = await digestsOf(archive);
  const checksum = checksumOf(digests);
  return {
    identifier: formatPackageRef({ ...ref, checksum }),
    pluginId: formatPluginId(ref),
    ...ref,
    checksum,
    bytes: size,
    dialect: read.dialect,
    declaration,
    providers,
    runner: readRunner(read.manifest),
    limitsAsked: read.limitsAsked ?? realLimits(read.manifest),
    dependencies: read.dependencies,
    warnings: findings.warnings,
    evidence: await readEvidence(archive, digests),
  };
}

export interface OpenedDialect {
  readonly dialect: Dialect;
  /** In the form of the real dialect. */
  readonly manifest: Source;
  /** The archive's files, with those of the overlay in place of their own. */
  readonly files: PackageFiles;
  readonly overlay: ReadonlyMap<string, Buffer>;
  readonly limitsAsked: LimitsAsked | undefined;
  /** Only manifests of the seed dialect list them; for real packages bundles do. */
  readonly dependencies: readonly PluginNeed[];
}

/** Opens the archive as a package of the real dialect; one of the seed dialect gets an overlay. */
export async function openDialect(
  archive: PackageFiles,
  options: { readonly findings: Findings; readonly createdAt: string; readonly yamlBytesMax: number },
): Promise<OpenedDialect> {
  const { findings, createdAt, yamlBytesMax } = options;
  const { dialect, manifest } = await chooseManifest(archive, findings, yamlBytesMax);
  if (dialect === "real") {
    const overlay = new Map<string, Buffer>();
    if (manifest.file !== "manifest.yaml") {
      overlay.set("manifest.yaml", await archive.read(manifest.file, yamlBytesMax));
    }
    return {
      dialect,
      manifest,
      files: layerFiles(archive, overlay),
      overlay,
      limitsAsked: undefined,
      dependencies: [],
    };
  }
  const seed = await seedOverlay({ files: archive, manifest, findings, yamlBytesMax, createdAt });
  const files = layerFiles(archive, seed.files);
  const complete = await files.read("manifest.yaml", yamlBytesMax);
  return {
    dialect,
    manifest: parseYaml(complete, "manifest.json", findings),
    files,
    overlay: seed.files,
    limitsAsked: seed.limitsAsked,
    dependencies: seed.dependencies,
  };
}

/** Memory that real packages declare was never enforced: it counts as advice. They declare no other limits. */
function realLimits(manifest: Source): LimitsAsked {
  const memory = manifest.get("resource").get("memory").number ?? 0;
  return memory > 0 ? { memoryBytes: memory, memoryIsHard: false } : { memoryIsHard: false };
}

/** Both sets of files as one; a file in both is the overlay's. */
function layerFiles(below: PackageFiles, overlay: ReadonlyMap<string, Buffer>): PackageFiles {
  const added = [...overlay.keys()].filter((path) => !below.has(path));
  return {
    paths: [...below.paths, ...added],
    has: (path) => overlay.has(path) || below.has(path),
    bytesOf: (path) => overlay.get(path)?.length ?? below.bytesOf(path),
    read: async (path, bytesMax) => {
      const bytes = overlay.get(path);
      if (bytes === undefined) return below.read(path, bytesMax);
      if (bytes.length > bytesMax) throw fileTooLarge(path, bytes.length, bytesMax);
      return bytes;
    },
    stream: (path) => {
      const bytes = overlay.get(path);
      return bytes === undefined ? below.stream(path) : Readable.from([bytes], { objectMode: false });
    },
  };
}
