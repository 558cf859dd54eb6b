import type { PackageFiles } from "../archive/archive.ts";
import type { Findings } from "../findings.ts";
import { fileMissing } from "../manifest-fault.ts";
import { type Json, parseYaml, type Source } from "../yaml-source.ts";

/** The files of one package while its declaration is read. */
export interface Reading {
  readonly files: PackageFiles;
  readonly findings: Findings;
  /** Maximum size of one YAML file. */
  readonly yamlBytesMax: number;
}

/** Opens the YAML file that a scalar names. Throws `manifest_invalid` where it is missing. */
export async function openNamed(at: Source, reading: Reading): Promise<Source> {
  const named = at.text;
  if (named === undefined) throw at.refuse("the path of a YAML file");
  const path = cleanPath(named);
  if (!reading.files.has(path)) throw fileMissing({ file: at.file, field: at.field, value: named });
  return parseYaml(await reading.files.read(path, reading.yamlBytesMax), path, reading.findings);
}

/**
 * The items of a provider: those written in place first, then those in files of their own, each in order. A list may mix
 * both.
 */
export async function readItems(
  at: Source,
  read: (item: Source) => Json,
  reading: Reading,
): Promise<readonly Json[]> {
  if (at.isEmpty) return [];
  if (!at.isList) throw at.refuse("a list");
  const inPlace: Json[] = [];
  const inFiles: Json[] = [];
  for (const item of at.items) {
    if (item.isMap) inPlace.push(read(item));
    else if (item.isScalar) inFiles.push(await readFileItem(item, read, reading));
  }
  return [...inPlace, ...inFiles];
}

async function readFileItem(item: Source, read: (item: Source) => Json, reading: Reading): Promise<Json> {
  const source = await openNamed(item, reading);
  warnMissingSource(source.get("extra").get("python").get("source"), reading);
  return read(source);
}

/** Warns of a missing file without which the SDK does not start; the package itself can still be stored. */
export function warnMissingSource(at: Source, reading: Reading): void {
  const path = at.text;
  if (path === undefined) at.warn("is missing: the SDK does not start without it");
  else if (!reading.files.has(cleanPath(path))) {
    at.warn(`names ${JSON.stringify(path)}, which the package does not hold`);
  }
}

/** `./a//b` is `a/b`. */
export function cleanPath(path: string): string {
  return path
    .split("/")
    .filter((part) => part !== "" && part !== ".")
    .join("/");
}
