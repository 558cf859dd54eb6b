import { Fault } from "../domain/fault.ts";
import type { Dialect } from "../domain/package.ts";
import type { PackageFiles } from "./archive/archive.ts";
import type { Findings } from "./findings.ts";
import { manifestInvalid } from "./manifest-fault.ts";
import { parseYaml, type Source } from "./yaml-source.ts";

const REAL_FILE = "manifest.yaml";
const SEED_FILE = "manifest.json";
const PLUGIN_LISTS = ["tools", "models", "endpoints", "agent_strategies", "datasources", "triggers"];

export interface ChosenManifest {
  readonly dialect: Dialect;
  readonly manifest: Source;
}

/**
 * Chooses the dialect of a package: by the manifest's file name, and by keys that only one dialect has, never by the size
 * of its numbers. Throws `manifest_missing`, `manifest_invalid`.
 */
export async function chooseManifest(
  files: PackageFiles,
  findings: Findings,
  bytesMax: number,
): Promise<ChosenManifest> {
  const hasReal = files.has(REAL_FILE);
  const json = files.has(SEED_FILE)
    ? parseJson(await files.read(SEED_FILE, bytesMax), findings, { isAlone: !hasReal })
    : undefined;
  if (hasReal) {
    const manifest = parseYaml(await files.read(REAL_FILE, bytesMax), REAL_FILE, findings);
    if (json !== undefined) checkSameIdentity(manifest, json);
    for (const marker of seedMarkers(manifest)) manifest.get(marker).warn(`is ignored in ${REAL_FILE}`);
    return { dialect: "real", manifest };
  }
  if (json === undefined) {
    throw new Fault("manifest_missing", "The package has no manifest at its root.", {
      details: { field: "file", value: null, accepted: `${REAL_FILE} or ${SEED_FILE} at the root` },
    });
  }
  return { dialect: dialectOf(json), manifest: json };
}

/** JSON is checked as JSON first: as YAML, a comment or a missing quote would pass. */
function parseJson(bytes: Buffer, findings: Findings, { isAlone }: { isAlone: boolean }): Source | undefined {
  try {
    const value: unknown = JSON.parse(bytes.toString("utf8").replace(/^\uFEFF/, ""));
    return parseYaml(Buffer.from(JSON.stringify(value)), SEED_FILE, findings);
  } catch (cause) {
    if (!isAlone) return undefined;
    if (cause instanceof Fault) throw cause;
    throw manifestInvalid({
      file: SEED_FILE,
      field: "the document",
      value: cause instanceof Error ? cause.message : "unreadable",
      accepted: "JSON",
      cause,
    });
  }
}

function dialectOf(manifest: Source): Dialect {
  const stated = manifest.get("dialect");
  if (!stated.isEmpty) {
    if (stated.text === "seed" || stated.text === "real") return stated.text;
    throw stated.refuse("seed or real");
  }
  const seed = seedMarkers(manifest);
  const real = realMarkers(manifest);
  if (real.length === 0) return "seed";
  if (seed.length > 0) {
    throw manifestInvalid({
      file: SEED_FILE,
      field: "dialect",
      value: `both: ${real.join(", ")} and ${seed.join(", ")}`,
      accepted: 'keys of one dialect, or "dialect": "seed" (sizes in MB) or "real" (sizes in bytes)',
    });
  }
  manifest.warn(`read as the real dialect (sizes in bytes), because of ${real.join(", ")}`);
  return "real";
}

function seedMarkers(manifest: Source): readonly string[] {
  const keys = ["category", "resource.max_concurrent_requests", "resource.timeout"];
  return [
    ...keys.filter((key) => !at(manifest, key).isEmpty),
    ...pluginEntries(manifest)
      .filter(({ text }) => isBareName(text ?? ""))
      .map(({ field }) => field),
  ];
}

function realMarkers(manifest: Source): readonly string[] {
  const isPlugin = manifest.get("type").text === "plugin";
  return [
    ...(isPlugin ? ["type"] : []),
    ...["meta.runner", "meta.arch"].filter((key) => !at(manifest, key).isEmpty),
    ...pluginEntries(manifest)
      .filter(({ text }) => isYamlPath(text ?? ""))
      .map(({ field }) => field),
  ];
}

function pluginEntries(manifest: Source): readonly Source[] {
  return PLUGIN_LISTS.flatMap((list) => [...at(manifest, `plugins.${list}`).items]);
}

function at(manifest: Source, key: string): Source {
  return key.split(".").reduce((place, part) => place.get(part), manifest);
}

export function isYamlPath(entry: string): boolean {
  return /\.ya?ml$/.test(entry);
}

export function isBareName(entry: string): boolean {
  return entry !== "" && !/[/.]/.test(entry);
}

function checkSameIdentity(real: Source, seed: Source): void {
  for (const key of ["author", "name", "version"]) {
    if (real.get(key).text === seed.get(key).text) continue;
    throw manifestInvalid({
      file: SEED_FILE,
      field: key,
      value: seed.get(key).text,
      accepted: `the same as in ${REAL_FILE}: ${real.get(key).text ?? "missing"}`,
    });
  }
}
