import type { LimitsAsked } from "../../domain/limits.ts";
import type { PluginNeed } from "../../domain/plugin-need.ts";
import type { PackageFiles } from "../archive/archive.ts";
import { isObject } from "../declaration/icons.ts";
import { isBareName, isYamlPath } from "../dialect.ts";
import type { Findings } from "../findings.ts";
import { fileMissing } from "../manifest-fault.ts";
import { type Json, type JsonObject, parseYaml, type Source } from "../yaml-source.ts";
import { readSeedDependencies } from "./dependencies.ts";
import { readSeedLimits } from "./limits.ts";
import { completeManifest, SEED_LAUNCHER, warnOfUnknownKeys } from "./manifest.ts";
import { SEED_PROVIDER_SOURCE, SEED_REQUIREMENT, seedLauncher } from "./python.ts";
import { isSeedList } from "./templates.ts";
import { completeEndpointYaml, completeToolYaml, type SeedItem, yamlOfNamed } from "./tool-yaml.ts";

const FOLDER = "_berth";
const ICON_BYTES_MAX = 4 * 1_048_576;

export interface SeedInput {
  readonly files: PackageFiles;
  readonly manifest: Source;
  readonly findings: Findings;
  readonly yamlBytesMax: number;
  /** RFC 3339, for a manifest without a time. */
  readonly createdAt: string;
}

export interface SeedOverlay {
  /** Files by path; inside the image they replace the archive's own. The archive does not change. */
  readonly files: ReadonlyMap<string, Buffer>;
  readonly limitsAsked: LimitsAsked;
  /** Plugins that have to be installed first. */
  readonly dependencies: readonly PluginNeed[];
}

/**
 * Makes the files that turn a package of the seed dialect into one of the real dialect: its manifest, a provider for its
 * tools, complete YAML files of its tools, the launcher, the icon in its place, and the SDK among its requirements. The
 * same archive gives the same bytes. Throws `manifest_invalid`.
 */
export async function seedOverlay(input: SeedInput): Promise<SeedOverlay> {
  const { files, manifest } = input;
  if (!manifest.isMap) throw manifest.refuse("a JSON object: author, name, version, plugins, ...");
  warnOfUnknownKeys(manifest);
  const limits = readSeedLimits(manifest.get("resource"));
  const overlay = new Map<string, Buffer>();
  const icon = await placeIcon(manifest.get("icon"), input, overlay);
  const iconDark = await placeIcon(manifest.get("icon_dark"), input, overlay);
  const plugins = await placeProviders(input, { icon, iconDark }, overlay);
  const complete = completeManifest({
    manifest,
    limits,
    plugins,
    icon,
    iconDark,
    createdAt: input.createdAt,
  });
  overlay.set("manifest.yaml", asYaml(complete));
  const hasMain = files.has("main.py");
  const launcher = seedLauncher({ timeoutMs: limits.timeoutMs ?? 0, hasMain });
  overlay.set(`${SEED_LAUNCHER}.py`, Buffer.from(launcher));
  await placeRequirements(files, overlay);
  const dependencies = readSeedDependencies(manifest.get("dependencies"));
  return { files: overlay, limitsAsked: limits, dependencies };
}

async function placeIcon(at: Source, { files }: SeedInput, overlay: Map<string, Buffer>): Promise<string> {
  if (at.isEmpty) return "";
  const key = at.text;
  if (key === undefined) throw at.refuse("a file name");
  if (files.has(`_assets/${key}`)) return key;
  if (!files.has(key)) throw fileMissing({ file: at.file, field: at.field, value: key });
  overlay.set(`_assets/${key}`, await files.read(key, ICON_BYTES_MAX));
  return key;
}

async function placeProviders(
  input: SeedInput,
  icons: { icon: string; iconDark: string },
  overlay: Map<string, Buffer>,
): Promise<Record<string, readonly string[]>> {
  const plugins: Record<string, readonly string[]> = {};
  const at = input.manifest.get("plugins");
  if (!at.isMap) throw at.refuse("a map of lists: tools, models, endpoints, datasources");
  for (const list of at.keys) {
    const listed = at.get(list);
    if (listed.isEmpty) continue;
    if (!listed.isList) throw listed.refuse("a list of names");
    const names = listed.items.filter((entry) => isBareName(entry.text ?? ""));
    const paths = listed.items.filter((entry) => isYamlPath(entry.text ?? "")).map(({ text }) => text ?? "");
    for (const entry of listed.items) checkEntry(entry, list);
    const made = names.length === 0 ? [] : await placeNamed(list, names, { input, icons, overlay });
    plugins[list] = [...made, ...paths];
  }
  return plugins;
}

function checkEntry(entry: Source, list: string): void {
  const text = entry.text ?? "";
  const isNamed = isBareName(text) && isSeedList(list);
  if (isNamed || isYamlPath(text)) return;
  const name = `a name, whose ${list}/NAME.yaml is in the package, or `;
  throw entry.refuse(`${isSeedList(list) ? name : ""}the path of a provider's .yaml`);
}

interface Placing {
  readonly input: SeedInput;
  readonly icons: { readonly icon: string; readonly iconDark: string };
  readonly overlay: Map<string, Buffer>;
}

/** Provider files for entries that are bare names: a generated one for tools and for endpoints, else the named YAML. */
async function placeNamed(
  list: string,
  names: readonly Source[],
  placing: Placing,
): Promise<readonly string[]> {
  const { files, manifest, findings, yamlBytesMax } = placing.input;
  const items: string[] = [];
  for (const at of names) {
    const name = at.text ?? "";
    const item: SeedItem = {
      path: `${list}/${name}.yaml`,
      at,
      name,
      author: manifest.get("author").text ?? "",
    };
    if (isSeedList(list)) yamlOfNamed(list, item, files);
    items.push(item.path);
    if (list === "models") continue;
    const bytes = await files.read(item.path, yamlBytesMax);
    const source = parseYaml(bytes, item.path, findings);
    if (list === "datasources") {
      placeInline(source, item, placing.overlay);
      continue;
    }
    const complete = list === "tools" ? completeToolYaml : completeEndpointYaml;
    placing.overlay.set(item.path, complete(bytes, source, item, files));
  }
  if (list === "tools") return placeToolProvider(items, placing);
  if (list !== "endpoints") return items;
  const path = `${FOLDER}/endpoints.yaml`;
  placing.overlay.set(path, asYaml({ settings: [], endpoints: items }));
  return [path];
}

/** Moves datasources that a provider writes in place into files: the platform's reader accepts both, the SDK files only. */
function placeInline(provider: Source, { path, name }: SeedItem, overlay: Map<string, Buffer>): void {
  const { items } = provider.get("datasources");
  const written = provider.toJson();
  if (!isObject(written) || !items.some(({ isMap }) => isMap)) return;
  const datasources = items.map((at, index): Json => {
    const item = at.toJson();
    if (!isObject(item)) return item;
    const file = `${FOLDER}/datasources/${name}-${index}.yaml`;
    const extra = { python: { source: path.replace(/\.yaml$/, ".py") } };
    overlay.set(file, asYaml({ extra, ...item }));
    return file;
  });
  overlay.set(path, asYaml({ ...written, datasources }));
}

function placeToolProvider(tools: readonly string[], { input, icons, overlay }: Placing): readonly string[] {
  const { manifest } = input;
  const name = manifest.get("name").text ?? "";
  const label = i18nOf(manifest.get("label"), name);
  const provider = {
    identity: {
      author: manifest.get("author").text ?? "",
      name,
      label,
      description: i18nOf(manifest.get("description"), label["en_US"] ?? name),
      icon: icons.icon,
      ...(icons.iconDark === "" ? {} : { icon_dark: icons.iconDark }),
      tags: [],
    },
    tools,
    extra: { python: { source: `${FOLDER}/provider.py` } },
  };
  overlay.set(`${FOLDER}/provider.yaml`, asYaml(provider));
  overlay.set(`${FOLDER}/provider.py`, Buffer.from(SEED_PROVIDER_SOURCE));
  return [`${FOLDER}/provider.yaml`];
}

function i18nOf(at: Source, byDefault: Json): JsonObject {
  const written = at.isMap ? at.toJson() : undefined;
  const object = isObject(written) ? written : {};
  return { ...object, en_US: at.text ?? object["en_US"] ?? byDefault };
}

/** Adds the SDK to the requirements of a seed package that does not name it; a `pyproject.toml` stays as it is. */
async function placeRequirements(files: PackageFiles, overlay: Map<string, Buffer>): Promise<void> {
  if (files.has("pyproject.toml")) return;
  if (!files.has("requirements.txt")) {
    overlay.set("requirements.txt", Buffer.from(`${SEED_REQUIREMENT}\n`));
    return;
  }
  const text = (await files.read("requirements.txt", 1_048_576)).toString("utf8");
  if (/^\s*dify[-_.]plugin\b/im.test(text)) return;
  overlay.set("requirements.txt", Buffer.from(`${text.replace(/\s*$/, "")}\n${SEED_REQUIREMENT}\n`));
}

/** JSON is YAML in which texts are unambiguous. */
function asYaml(value: unknown): Buffer {
  return Buffer.from(`${JSON.stringify(value, null, 2)}\n`);
}
