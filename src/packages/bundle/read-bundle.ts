/**
 * A bundle is a zip with a `manifest.yaml` that lists plugins, and below `_assets/` the archives of those that come
 * with it. Each of those is read, checked and kept as a package of its own: the bundle brings no trust along.
 */
import { stat } from "node:fs/promises";
import type { Bundle } from "../../domain/bundle.ts";
import { Fault } from "../../domain/fault.ts";
import { formatPackageRef } from "../../domain/package-ref.ts";
import { type Archive, openArchive } from "../archive/archive.ts";
import { checksumOf, digestsOf } from "../archive/checksum.ts";
import { readIdentity } from "../declaration/manifest-fields.ts";
import { tags } from "../declaration/provider-config.ts";
import { i18n, struct, text } from "../declaration/readers.ts";
import { Findings } from "../findings.ts";
import { fileMissing } from "../manifest-fault.ts";
import type { ReadPackageOptions } from "../read-package.ts";
import { parseYaml, type Source } from "../yaml-source.ts";
import { type ListedDependency, readListedDependency } from "./listed-dependency.ts";

const MANIFEST = "manifest.yaml";
/** Each may become an install of its own. */
const DEPENDENCIES_MAX = 200;

/** A bundle whose packages have not been read yet: its dependencies name files where a Bundle's name identifiers. */
export interface ReadBundle extends Omit<Bundle, "dependencies"> {
  readonly dependencies: readonly ListedDependency[];
}

const fields = struct({
  name: text({ needed: true }),
  labels: i18n({ needed: true }),
  description: i18n({ needed: true }),
  icon: text({ needed: true }),
  version: text({ needed: true }),
  author: text({ needed: true }),
  type: bundleType,
  tags,
});

/**
 * Reads the archive at `path` as a bundle; what its packages hold is not looked at. Throws `package_not_zip`,
 * `package_unsafe`, `package_too_large`, `manifest_missing`, `manifest_invalid`, `identifier_too_long`.
 */
export async function readBundle(path: string, options: ReadPackageOptions): Promise<ReadBundle> {
  const { size } = await stat(path);
  await using archive = await openArchive(path, options);
  if (!archive.has(MANIFEST)) {
    throw new Fault("manifest_missing", "The bundle has no manifest at its root.", {
      details: { field: "file", value: null, accepted: `${MANIFEST} at the root` },
    });
  }
  const findings = new Findings();
  const manifest = parseYaml(await archive.read(MANIFEST, options.yamlBytesMax), MANIFEST, findings);
  if (!manifest.isMap) throw manifest.refuse("a map: type, author, name, version, dependencies, ...");
  const shown = fields(manifest);
  const identity = readIdentity(manifest);
  formatPackageRef({ ...identity, checksum: "0".repeat(64) });
  const dependencies = readDependencies(manifest.get("dependencies"), archive);
  const checksum = checksumOf(await digestsOf(archive));
  return {
    identifier: formatPackageRef({ ...identity, checksum }),
    ...identity,
    checksum,
    bytes: size,
    manifest: shown,
    dependencies,
    warnings: findings.warnings,
  };
}

function bundleType(at: Source): string {
  if (at.text !== "bundle") throw at.refuse("bundle; a plugin is uploaded as a package");
  return at.text;
}

function readDependencies(at: Source, archive: Archive): readonly ListedDependency[] {
  if (at.isEmpty || !at.isList) throw at.refuse("a list of {type, value}");
  const { items } = at;
  if (items.length > DEPENDENCIES_MAX) throw at.refuse(`at most ${DEPENDENCIES_MAX} dependencies`);
  return items.map((item) => {
    const listed = readListedDependency(item);
    if (listed.type !== "package" || archive.has(`_assets/${listed.path}`)) return listed;
    throw fileMissing({
      file: MANIFEST,
      field: `${item.field}.value.path`,
      value: `_assets/${listed.path}`,
    });
  });
}
