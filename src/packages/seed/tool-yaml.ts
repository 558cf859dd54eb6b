import { type Document, isMap } from "yaml";
import { Fault } from "../../domain/fault.ts";
import type { PackageFiles } from "../archive/archive.ts";
import { cleanPath } from "../declaration/items.ts";
import { fileMissing } from "../manifest-fault.ts";
import { type Json, parseYamlDocument, type Source } from "../yaml-source.ts";
import { completeI18n } from "./manifest.ts";
import { type SeedList, seedTemplate } from "./templates.ts";

export interface SeedItem {
  /** Path of the YAML file, also inside the image. */
  readonly path: string;
  /** The entry in the manifest that names it. */
  readonly at: Source;
  readonly author: string;
  readonly name: string;
}

/**
 * The tool's YAML with the fields that the SDK requires and the seed dialect may leave out: names, descriptions, the form
 * of each parameter, and the Python file beside it. Written fields stay as they are. Throws `manifest_invalid`.
 */
export function completeToolYaml(bytes: Buffer, tool: Source, item: SeedItem, files: PackageFiles): Buffer {
  if (!tool.isMap) throw tool.refuse("a map: identity, description, parameters");
  const edit = openEdit(bytes, item.path);
  const name = tool.get("identity").get("name").text ?? item.name;
  const label = completeI18n(tool.get("identity").get("label"), name);
  edit(tool.get("identity").get("author"), ["identity", "author"], item.author);
  edit(tool.get("identity").get("name"), ["identity", "name"], item.name);
  edit(tool.get("identity").get("label"), ["identity", "label"], label);
  completeDescription(tool.get("description"), label, edit);
  tool.get("parameters").items.forEach((parameter, index) => {
    completeParameter(parameter, ["parameters", index], edit);
  });
  completeSource(tool, item, files, edit);
  return edit.bytes();
}

/** An endpoint's YAML with the Python file beside it. */
export function completeEndpointYaml(
  bytes: Buffer,
  endpoint: Source,
  item: SeedItem,
  files: PackageFiles,
): Buffer {
  if (!endpoint.isMap) throw endpoint.refuse("a map: path, method");
  const edit = openEdit(bytes, item.path);
  completeSource(endpoint, item, files, edit);
  return edit.bytes();
}

interface Edit {
  /** Writes the value where there is none, or where a bare text stands for a map. */
  (at: Source, path: readonly (string | number)[], value: Json): void;
  bytes(): Buffer;
}

function openEdit(bytes: Buffer, file: string): Edit {
  const document: Document = parseYamlDocument(bytes, file);
  let isChanged = false;
  const edit = (at: Source, path: readonly (string | number)[], value: Json): void => {
    const isShort = at.isScalar && typeof value === "object" && value !== null;
    if (!at.isEmpty && !isShort) return;
    isChanged = true;
    setIn(document, path, value);
  };
  return Object.assign(edit, {
    bytes: () => (isChanged ? Buffer.from(document.toString({ lineWidth: 0 })) : bytes),
  });
}

/** Replaces a null on the path (`identity:` with nothing after it), because nothing can be set inside it. */
function setIn(document: Document, path: readonly (string | number)[], value: Json): void {
  for (let length = 1; length < path.length; length += 1) {
    const above = path.slice(0, length);
    const isNext = typeof path[length] === "number";
    const node: unknown = document.getIn(above, true);
    if (!isNext && node !== undefined && !isMap(node)) {
      const resolved: unknown = document.getIn(above);
      if (resolved === null || resolved === undefined) document.setIn(above, document.createNode({}));
    }
  }
  document.setIn(path, document.createNode(value));
}

function completeDescription(at: Source, label: Json, edit: Edit): void {
  if (at.isMap && at.get("human").isEmpty && at.get("llm").isEmpty && !at.get("en_US").isEmpty) {
    throw at.refuse("a text, or a map with human (a map of languages) and llm (a text)");
  }
  const english = (typeof label === "object" && label !== null && "en_US" in label && label["en_US"]) || "";
  const text = at.text ?? at.get("llm").text ?? english;
  if (at.isScalar || at.isEmpty) {
    edit(at, ["description"], { human: { en_US: text }, llm: text });
    return;
  }
  edit(at.get("human"), ["description", "human"], completeI18n(at.get("human"), text));
  edit(at.get("llm"), ["description", "llm"], at.get("human").get("en_US").text ?? text);
}

function completeParameter(at: Source, path: readonly (string | number)[], edit: Edit): void {
  if (!at.isMap) return;
  const name = at.get("name").text ?? "";
  const described = at.get("llm_description").text ?? at.get("description").text ?? name;
  edit(at.get("type"), [...path, "type"], "string");
  edit(at.get("form"), [...path, "form"], "llm");
  edit(at.get("label"), [...path, "label"], completeI18n(at.get("label"), name));
  const human = at.get("human_description");
  edit(human, [...path, "human_description"], completeI18n(human, described));
  edit(at.get("llm_description"), [...path, "llm_description"], described);
}

function completeSource(tool: Source, item: SeedItem, files: PackageFiles, edit: Edit): void {
  const at = tool.get("extra").get("python").get("source");
  const beside = item.path.replace(/\.ya?ml$/, ".py");
  const source = at.text ?? beside;
  if (!files.has(cleanPath(source))) {
    if (at.isEmpty) throw fileMissing({ file: item.at.file, field: item.at.field, value: beside });
    throw fileMissing({ file: item.path, field: at.field, value: source });
  }
  edit(at, ["extra", "python", "source"], source);
}

/** Throws `manifest_invalid` for an entry whose YAML is missing, with the file's name and a template for it. */
export function yamlOfNamed(list: SeedList, item: SeedItem, files: PackageFiles): void {
  if (files.has(item.path)) return;
  const python = item.path.replace(/\.yaml$/, ".py");
  const alone = files.has(python) ? `, and ${python} alone does not say what it offers` : "";
  const template = seedTemplate(list, item.name);
  const { file, field, text } = item.at;
  throw new Fault(
    "manifest_invalid",
    `${file}: ${field} names ${JSON.stringify(text)}, whose ${item.path} is missing${alone}. A template for it:\n${template}`,
    {
      details: {
        file,
        field,
        value: text ?? null,
        missing: item.path,
        template,
        accepted: `a name whose ${item.path} is in the package`,
      },
    },
  );
}
