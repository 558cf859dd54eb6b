import { RULE_TEMPLATES, type RuleTemplate } from "../../domain/model-parameters.ts";
import type { Json, JsonObject, Source } from "../yaml-source.ts";
import { any, flag, i18n, integer, list, number, optional, type Reader, struct, text } from "./readers.ts";

const RULE_TYPES = ["float", "int", "string", "boolean", "text"];

const ruleFields: Reader<JsonObject> = struct({
  name: text({ needed: true, charsMax: 255 }),
  use_template: optional(text()),
  label: optional(i18n({ needed: false })),
  type: optional(text({ oneOf: RULE_TYPES })),
  help: optional(i18n({ needed: true })),
  required: flag,
  default: any,
  min: optional(number),
  max: optional(number),
  precision: optional(integer),
  options: list(text({ charsMax: 255 })),
});

/** One parameter of a model. A template fills the fields that the rule leaves out, except its label, which is the rule's name. */
export function parameterRule(at: Source): JsonObject {
  const rule = ruleFields(at);
  const label = at.get("label").get("en_US").isEmpty
    ? { en_US: rule["name"] ?? "" }
    : (rule["label"] ?? null);
  const named = at.get("use_template").text ?? "";
  const template = Object.hasOwn(RULE_TEMPLATES, named) ? RULE_TEMPLATES[named] : undefined;
  if (named !== "" && template === undefined) {
    const known = Object.keys(RULE_TEMPLATES).join(", ");
    // without a type the platform cannot read the whole provider
    if (rule["type"] === null) throw at.get("use_template").refuse(`one of ${known}, or a type beside it`);
    at.get("use_template").warn(`is ${JSON.stringify(named)}; expected one of ${known}`);
  }
  if (named === "" && rule["type"] === null) at.get("type").warn("is missing");
  const fill = (key: keyof RuleTemplate): Json => rule[key] ?? template?.[key] ?? null;
  return {
    ...rule,
    label,
    type: fill("type"),
    help: fill("help"),
    default: fill("default"),
    min: fill("min"),
    max: fill("max"),
    precision: fill("precision"),
    options: fill("options") ?? [],
  };
}
