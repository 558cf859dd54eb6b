/**
 * A model as its provider describes it at run time, with the members and parameter templates of a package's
 * declaration. The readers of package files are separate, because their errors name files and lines.
 */
import { RULE_TEMPLATES } from "../../../../domain/model-parameters.ts";
import {
  anything,
  field,
  flag,
  list,
  map,
  max,
  needed,
  number,
  oneOf,
  optionalText,
  pointer,
  type Reading,
  type Rule,
  type Shape,
  struct,
  type TypeOf,
  text,
  whole,
} from "../shape.ts";
import { I18N } from "./parameters.ts";
import { decimal, listOrEmpty } from "./values.ts";

const MODEL_TYPES = [
  ...["llm", "text-embedding", "rerank", "speech2text", "moderation", "tts", "text2img"],
  ...["multimodal-embedding", "multimodal-rerank"],
];

const noLongText: Rule = { tag: "lt", holds: (value) => typeof value !== "string" || value.length < 256 };
const ruleType: Rule = {
  tag: "model_parameter_type",
  holds: (value) => value === null || ["float", "int", "string", "boolean", "text"].includes(String(value)),
};

const WRITTEN_RULE = struct({
  name: needed(text, max(255)),
  use_template: field(optionalText, noLongText),
  label: field(pointer(I18N)),
  type: field(optionalText, ruleType),
  help: field(pointer(I18N)),
  required: field(flag),
  default: field(anything),
  min: field(pointer(number)),
  max: field(pointer(number)),
  precision: field(pointer(whole)),
  options: field(list(text)),
});

type ParameterRule = TypeOf<typeof WRITTEN_RULE>;

/** The template supplies what the rule itself leaves out; a rule without a label is labelled with its name. */
const PARAMETER_RULE: Shape<ParameterRule> = {
  zero: WRITTEN_RULE.zero,
  read(value, at) {
    const rule = WRITTEN_RULE.read(value, at);
    const template = templateOf(rule, at);
    return {
      ...rule,
      label:
        rule.label === null || rule.label.en_US === "" ? I18N.read({ en_US: rule.name }, at) : rule.label,
      type: rule.type ?? template?.type ?? null,
      help: rule.help ?? (template === undefined ? null : I18N.read(template.help, at)),
      default: rule.default ?? template?.default ?? null,
      min: rule.min ?? template?.min ?? null,
      max: rule.max ?? template?.max ?? null,
      precision: rule.precision ?? template?.precision ?? null,
      options: rule.options ?? template?.options ?? [],
    };
  },
  check(rule, path, broken) {
    WRITTEN_RULE.check?.(rule, path, broken);
    if (rule.use_template === null && rule.type === null)
      broken.push(`Key: '${path}' Error:Field validation for '${path}' failed on the 'parameter_rule' tag`);
  },
};

function templateOf({ use_template: name }: ParameterRule, at: Reading) {
  if (name === null || name === "") return undefined;
  if (!Object.hasOwn(RULE_TEMPLATES, name)) at.mismatch("a known template", name);
  return RULE_TEMPLATES[name];
}

const MODEL = struct({
  model: needed(text, max(255)),
  label: field(I18N),
  model_type: needed(text, oneOf(MODEL_TYPES)),
  features: field(list(text, { rules: [noLongText] })),
  fetch_from: field(fetchFrom()),
  model_properties: field(map),
  deprecated: field(flag),
  parameter_rules: field(listOrEmpty(PARAMETER_RULE), max(128)),
  pricing: field(
    pointer(
      struct({
        input: field(decimal),
        output: field(pointer(decimal)),
        unit: field(decimal),
        currency: needed(text),
      }),
    ),
  ),
});

function fetchFrom(): Shape<string> {
  const usual = "predefined-model";
  return { zero: usual, read: (value, at) => text.read(value, at) || usual };
}

export const MODEL_SCHEMA = struct({ model_schema: field(pointer(MODEL)) });
