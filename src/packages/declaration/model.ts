import { formatDecimal } from "../../domain/decimal.ts";
import { type Json, type JsonObject, parseYaml, type Source } from "../yaml-source.ts";
import { matchGlob } from "./glob.ts";
import { openNamed, type Reading, warnMissingSource } from "./items.ts";
import { parameterRule } from "./parameter-rule.ts";
import {
  anyMap,
  flag,
  i18n,
  integer,
  list,
  listOrEmpty,
  optional,
  type Reader,
  struct,
  text,
} from "./readers.ts";

const MODEL_TYPES = [
  "llm",
  "text-embedding",
  "rerank",
  "speech2text",
  "moderation",
  "tts",
  "text2img",
  "multimodal-embedding",
  "multimodal-rerank",
];
const METHODS = ["predefined-model", "customizable-model"];
/** Keys of `models`, in the order in which `position` shows them. */
const MODEL_GROUPS = ["llm", "text_embedding", "rerank", "tts", "speech2text", "moderation"];

const showOn = listOrEmpty(struct({ variable: text(), value: text() }), 16);
const formField: Reader<JsonObject> = struct({
  variable: text({ needed: true, charsMax: 255 }),
  label: i18n({ needed: true }),
  type: text({ needed: true, oneOf: ["text-input", "secret-input", "select", "radio", "switch"] }),
  required: flag,
  default: optional(text({ charsMax: 255 })),
  options: listOrEmpty(struct({ label: i18n({ needed: true }), value: text(), show_on: showOn }), 128),
  help: optional(i18n({ needed: true })),
  url: optional(text()),
  placeholder: optional(i18n({ needed: true })),
  max_length: integer,
  show_on: showOn,
});
const formFields = listOrEmpty(formField, 32);

const modelFields: Reader<JsonObject> = struct({
  model: text({ needed: true, charsMax: 255 }),
  label: i18n({ needed: false }),
  model_type: text({ needed: true, oneOf: MODEL_TYPES }),
  features: list(text({ charsMax: 255 }), 256),
  fetch_from: (at) => text({ oneOf: METHODS })(at) || "predefined-model",
  model_properties: optional(anyMap),
  deprecated: flag,
  parameter_rules: listOrEmpty(parameterRule, 128),
  pricing: optional(
    struct({ input: decimal, output: optional(decimal), unit: decimal, currency: text({ needed: true }) }),
  ),
});

/** A model without a label shows its name. */
function readModel(at: Source): JsonObject {
  const model = modelFields(at);
  const label = i18n({ needed: false })(at.get("label"));
  return label["en_US"] === "" ? { ...model, label: { ...label, en_US: model["model"] ?? "" } } : model;
}

const icon = optional(i18n({ needed: false }));
const providerFields: Reader<JsonObject> = struct({
  provider: text({ needed: true, charsMax: 255 }),
  label: i18n({ needed: true }),
  description: optional(i18n({ needed: false })),
  icon_small: icon,
  icon_large: icon,
  icon_small_dark: icon,
  icon_large_dark: icon,
  background: optional(text()),
  help: optional(struct({ title: i18n({ needed: true }), url: i18n({ needed: true }) })),
  supported_model_types: list(text({ oneOf: MODEL_TYPES }), 16),
  configurate_methods: list(text({ oneOf: METHODS }), 16),
  provider_credential_schema: optional(struct({ credential_form_schemas: formFields })),
  model_credential_schema: optional(
    struct({
      model: struct({ label: i18n({ needed: true }), placeholder: optional(i18n({ needed: true })) }),
      credential_form_schemas: formFields,
    }),
  ),
});

/** The `model` block of a declaration. */
export async function readModelProvider(at: Source, reading: Reading): Promise<JsonObject> {
  if (!at.isMap) throw at.refuse("a map: provider, label, models");
  warnMissingSource(at.get("extra").get("python").get("provider_source"), reading);
  const provider = providerFields(at);
  const models = at.get("models");
  if (models.isMap) {
    return {
      ...provider,
      position: await readPositions(models, reading),
      models: await readPredefined(models, reading),
    };
  }
  return { ...provider, models: models.isList ? models.items.map(readModel) : [] };
}

async function readPositions(models: Source, reading: Reading): Promise<JsonObject> {
  const positions: [string, Json][] = [];
  for (const group of MODEL_GROUPS) {
    const named = models.get(group).get("position");
    if (named.isEmpty) continue;
    positions.push([group, listOrEmpty(text())(await openNamed(named, reading))]);
  }
  return Object.fromEntries(positions);
}

/** Models are in the order of the archive; one that matches two patterns occurs twice. */
async function readPredefined(models: Source, reading: Reading): Promise<readonly Json[]> {
  const patterns = models.keys
    .filter((group) => MODEL_GROUPS.includes(group))
    .map((group) => models.get(group).get("predefined"))
    .flatMap((predefined) => [...predefined.items]);
  const found: Json[] = [];
  for (const path of reading.files.paths) {
    if (path.endsWith("_position.yaml")) continue;
    for (const pattern of patterns) {
      const matches = matchGlob(pattern.text ?? "", path);
      if (matches === undefined) throw pattern.refuse("a pattern of file names");
      if (!matches) continue;
      const bytes = await reading.files.read(path, reading.yamlBytesMax);
      found.push(readModel(parseYaml(bytes, path, reading.findings)));
    }
  }
  return found;
}

/** A price: written as a number or a text, kept as the shortest plain decimal. */
function decimal(at: Source): string {
  if (at.isEmpty) return "0";
  const written = at.text;
  const plain = written === undefined ? undefined : formatDecimal(written);
  if (plain === undefined) throw at.refuse("a decimal number");
  return plain;
}
