import { createHash } from "node:crypto";
import { posix } from "node:path";
import type { PackageFiles } from "../archive/archive.ts";
import { fileMissing } from "../manifest-fault.ts";
import type { Json, JsonObject } from "../yaml-source.ts";

const MODEL_ICONS = ["icon_small", "icon_large", "icon_small_dark", "icon_large_dark"];

/**
 * Replaces each icon's file name below `_assets/` in the declaration by the id under which the platform requests it.
 * Throws `manifest_invalid`, with the name of an icon that the package does not contain.
 */
export async function renameIcons(declaration: JsonObject, files: PackageFiles): Promise<JsonObject> {
  const ids = new Map<string, string>();
  const rename = async (field: string, value: Json | undefined): Promise<Json> => {
    if (typeof value !== "string" || value === "") return value ?? null;
    const known = ids.get(value);
    if (known !== undefined) return known;
    const path = `_assets/${value}`;
    if (!files.has(path)) throw fileMissing({ file: "manifest.yaml", field, value: path });
    const id = await assetId(files, value);
    ids.set(value, id);
    return id;
  };
  const at = async (owner: Json | undefined, keys: readonly string[], field: string): Promise<Json> => {
    if (!isObject(owner)) return owner ?? null;
    const renamed: [string, Json][] = [];
    for (const [key, value] of Object.entries(owner)) {
      renamed.push([key, keys.includes(key) ? await rename(`${field}${key}`, value) : value]);
    }
    return Object.fromEntries(renamed);
  };

  const top = await at(declaration, ["icon", "icon_dark"], "");
  const result: Record<string, Json> = isObject(top) ? { ...top } : {};
  for (const block of ["tool", "agent_strategy", "datasource", "trigger"]) {
    const provider = result[block];
    if (!isObject(provider)) continue;
    const identity = await at(provider["identity"], ["icon", "icon_dark"], `${block}.identity.`);
    result[block] = { ...provider, identity };
  }
  result["datasource"] &&= await datasourceIcons(result["datasource"], at);
  const model = result["model"];
  if (isObject(model)) {
    const icons: [string, Json][] = [];
    for (const key of MODEL_ICONS) {
      const languages = isObject(model[key]) ? Object.keys(model[key]) : [];
      icons.push([key, await at(model[key], languages, `model.${key}.`)]);
    }
    result["model"] = { ...model, ...Object.fromEntries(icons) };
  }
  return result;
}

type RenameAt = (owner: Json | undefined, keys: readonly string[], field: string) => Promise<Json>;

async function datasourceIcons(provider: Json, at: RenameAt): Promise<Json> {
  if (!isObject(provider)) return provider;
  const items: Json[] = [];
  for (const item of Array.isArray(provider["datasources"]) ? provider["datasources"] : []) {
    const identity = isObject(item) ? item["identity"] : undefined;
    items.push({ ...item, identity: await at(identity, ["icon"], "datasource.datasources.identity.") });
  }
  return { ...provider, datasources: items };
}

/** SHA-256 of content and name, with the name's extension. */
async function assetId(files: PackageFiles, name: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of files.stream(`_assets/${name}`)) hash.update(chunk);
  const base = posix.basename(name);
  const dot = base.lastIndexOf(".");
  return `${hash.update(name).digest("hex")}${dot < 0 ? "" : base.slice(dot)}`;
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
