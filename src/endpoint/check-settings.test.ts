import { expect, test } from "vitest";
import type { SettingField } from "../domain/endpoint.ts";
import { isFault } from "../domain/fault.ts";
import { checkSettings } from "./check-settings.ts";

const field = (type: string, changes: Partial<SettingField> = {}): SettingField => ({
  name: "it",
  type,
  isRequired: false,
  scope: undefined,
  options: [],
  ...changes,
});
const MODEL = { provider: "p", model: "m", model_type: "llm" };
const model = (scope: string) => field("model-selector", { scope });

function ruleOf(settings: Record<string, unknown>, fields: readonly SettingField[]): string | undefined {
  try {
    checkSettings(settings, fields);
    return undefined;
  } catch (error) {
    if (!isFault(error, "invalid_input")) throw error;
    return String(error.context["rule"]);
  }
}

test.each<[string, unknown, SettingField, string | undefined]>([
  [
    "a required setting that is missing",
    undefined,
    field("text-input", { isRequired: true }),
    "missing required setting: it",
  ],
  [
    "a required setting that is null",
    null,
    field("text-input", { isRequired: true }),
    "missing required setting: it",
  ],
  ["an empty text for a required setting", "", field("text-input", { isRequired: true }), undefined],
  ["an optional setting that is null", null, field("boolean"), undefined],
  ["a number for a text", 5, field("text-input"), "setting it is not a string"],
  ["a number for a secret", 5, field("secret-input"), "setting it is not a string"],
  ["a number for a choice", 5, field("select", { options: ["5"] }), "setting it is not a string"],
  [
    "a choice that is not offered",
    "c",
    field("select", { options: ["a", "b"] }),
    "setting it is not a valid option",
  ],
  ["a choice", "b", field("select", { options: ["a", "b"] }), undefined],
  ["a text for a flag", "true", field("boolean"), "setting it is not a boolean"],
  ["a text for an app", "x", field("app-selector"), "setting it is not a map"],
  ["a list for an app", [], field("app-selector"), "setting it is not a map"],
  ["an app without its id", {}, field("app-selector"), "setting it is missing app_id"],
  ["an app", { app_id: "a" }, field("app-selector"), undefined],
  ["a text for a model", "x", field("model-selector"), "setting it is not a map"],
  ["a model without provider", {}, field("model-selector"), "setting it is missing provider"],
  ["a model without name", { provider: "p" }, field("model-selector"), "setting it is missing model"],
  [
    "a model without type",
    { provider: "p", model: "m" },
    field("model-selector"),
    "setting it is missing model_type",
  ],
  ["a model", MODEL, field("model-selector"), undefined],
  ["a model of the scope llm", MODEL, model("llm"), undefined],
  ["a reranker without threshold", MODEL, model("rerank"), "setting it is missing score_threshold"],
  [
    "a reranker without top_n",
    { ...MODEL, score_threshold: 1 },
    model("rerank"),
    "setting it is missing top_n",
  ],
  ["a reranker", { ...MODEL, score_threshold: 1, top_n: 2 }, model("rerank"), undefined],
  ["a voice without voice", MODEL, model("tts"), "setting it is missing voice"],
  ["vision without parameters", MODEL, model("vision"), "setting it is missing completion_params"],
  ["an invalid scope", MODEL, model("llm&vision"), "setting it is not a valid model config scope"],
  ["an empty scope", MODEL, model(""), "setting it is not a valid model config scope"],
  ["the scope toString", MODEL, model("toString"), "setting it is not a valid model config scope"],
  ["anything for a list of tools", 5, field("array[tools]"), undefined],
  ["anything for an unknown type", 5, field("constructor"), undefined],
])("%s is judged as the daemon judges it", (_name, value, one, rule) => {
  expect(ruleOf(value === undefined ? {} : { it: value }, [one])).toBe(rule);
});

test("64 settings are accepted, declared or not, and 65 are too many", () => {
  const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`s${i}`, i]));
  expect(ruleOf(many(64), [])).toBeUndefined();
  expect(ruleOf(many(65), [])).toBe("too many setting fields");
});

test("a refusal names the field and what is accepted, and never the value", () => {
  const secret = { name: "api_key", type: "secret-input", isRequired: true, scope: undefined, options: [] };
  const refused = () => checkSettings({ api_key: { token: "s3cret" } }, [secret]);
  expect(refused).toThrow(expect.objectContaining({ code: "invalid_input" }));
  try {
    refused();
  } catch (error) {
    if (!isFault(error)) throw error;
    expect(error.details).toEqual({ field: "settings.api_key", value: "an object", accepted: "a string" });
    expect(JSON.stringify([error.message, error.details, error.context])).not.toContain("s3cret");
  }
});
