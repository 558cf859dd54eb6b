/** The rules for settings, with their errors in the daemon's words. */
import type { SettingField } from "../domain/endpoint.ts";
import { Fault } from "../domain/fault.ts";
import { isMap, type JsonMap } from "../domain/json.ts";

const SETTINGS_MAX = 64;

interface Broken {
  /** In the daemon's words. */
  readonly rule: string;
  readonly accepted: string;
}
type Rule = (value: unknown, field: SettingField) => Broken | undefined;

const isText: Rule = (value, { name }) =>
  typeof value === "string" ? undefined : { rule: `setting ${name} is not a string`, accepted: "a string" };

const isOption: Rule = (value, field) => {
  const { name, options } = field;
  const broken = isText(value, field);
  if (broken !== undefined || options.some((option) => option === value)) return broken;
  return { rule: `setting ${name} is not a valid option`, accepted: options.join(", ") };
};

const isFlag: Rule = (value, { name }) =>
  typeof value === "boolean"
    ? undefined
    : { rule: `setting ${name} is not a boolean`, accepted: "true or false" };

const isApp: Rule = (value, field) => holds(value, field, ["app_id"]);

const isModel: Rule = (value, field) => {
  const broken = holds(value, field, ["provider", "model", "model_type"]);
  const { name, scope } = field;
  if (broken !== undefined || scope === undefined) return broken;
  if (Object.hasOwn(BY_SCOPE, scope)) return holds(value, field, BY_SCOPE[scope] ?? []);
  return {
    rule: `setting ${name} is not a valid model config scope`,
    accepted: `no value, because the plugin declares the unknown scope ${scope}`,
  };
};

/** Members that a model of that scope needs beside its name. */
const BY_SCOPE: Readonly<Record<string, readonly string[]>> = {
  all: [],
  llm: [],
  "text-embedding": [],
  rerank: ["score_threshold", "top_n"],
  tts: ["voice"],
  speech2text: [],
  moderation: [],
  vision: ["completion_params"],
};

/** Types that are missing here accept any value. */
const BY_TYPE: Readonly<Record<string, Rule>> = {
  "text-input": isText,
  "secret-input": isText,
  select: isOption,
  boolean: isFlag,
  "app-selector": isApp,
  "model-selector": isModel,
};

function holds(value: unknown, { name }: SettingField, keys: readonly string[]): Broken | undefined {
  if (!isMap(value)) return { rule: `setting ${name} is not a map`, accepted: "an object" };
  const missing = keys.find((key) => !Object.hasOwn(value, key));
  if (missing === undefined) return undefined;
  return { rule: `setting ${name} is missing ${missing}`, accepted: `an object with ${keys.join(", ")}` };
}

/**
 * Throws `invalid_input` for the first field that breaks its rule, in the order of the declaration; the fault's context
 * has the daemon's own text as `rule`. Settings that are not declared are not checked. The fault never contains a
 * value: it may be a secret.
 */
export function checkSettings(settings: JsonMap, fields: readonly SettingField[]): void {
  const count = Object.keys(settings).length;
  if (count > SETTINGS_MAX)
    throw wrong("settings", {
      rule: "too many setting fields",
      accepted: `at most ${SETTINGS_MAX} settings`,
      problem: `has ${count} settings`,
      value: count,
    });
  for (const field of fields) {
    const value = Object.hasOwn(settings, field.name) ? settings[field.name] : undefined;
    const at = `settings.${field.name}`;
    const isMissing = value === undefined || value === null;
    if (isMissing && field.isRequired)
      throw wrong(at, {
        rule: `missing required setting: ${field.name}`,
        accepted: `a value of type ${field.type}`,
        problem: "is missing",
        value: null,
      });
    if (isMissing) continue;
    const rule = Object.hasOwn(BY_TYPE, field.type) ? BY_TYPE[field.type] : undefined;
    const broken = rule?.(value, field);
    if (broken !== undefined)
      throw wrong(at, { ...broken, problem: `is ${kindOf(value)}`, value: kindOf(value) });
  }
}

function wrong(field: string, broken: Broken & { readonly problem: string; readonly value: unknown }): Fault {
  const { rule, accepted, problem, value } = broken;
  return new Fault("invalid_input", `${field} ${problem}: ${rule}; accepted: ${accepted}.`, {
    details: { field, value, accepted },
    context: { rule },
  });
}

function kindOf(value: unknown): string {
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}
