import type { Json, JsonObject, Source } from "../yaml-source.ts";
import { any, flag, i18n, integer, list, number, optional, type Read, struct, text } from "./shape.ts";

const RULE_TYPES = ["float", "int", "string", "boolean", "text"];

const ruleFields: Read<JsonObject> = struct({
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

type RuleTemplate = Readonly<
  Partial<Record<"type" | "default" | "min" | "max" | "precision" | "options", Json>> & { help: Json }
>;

const penalty = { type: "float", default: 0, min: 0, max: 1, precision: 2 } as const;

const RULE_TEMPLATES: Readonly<Record<string, RuleTemplate>> = {
  temperature: {
    ...penalty,
    help: {
      en_US: "How freely the model chooses its words: near 0 it answers alike each time.",
      ja_JP: "モデルが言葉を選ぶ自由度です。0 に近いほど毎回同じ答えになります。",
      zh_Hans: "模型选词的自由程度：越接近 0，每次的回答越一致。",
      pt_BR: "O quanto o modelo escolhe livremente as palavras: perto de 0, responde sempre igual.",
    },
  },
  top_p: {
    ...penalty,
    default: 1,
    help: {
      en_US: "Only the likeliest words whose probabilities add up to this share are considered.",
      ja_JP: "確率の合計がこの割合になるまでの、最も可能性の高い語だけを候補にします。",
      zh_Hans: "只考虑累积概率达到该比例的最可能的词。",
      pt_BR: "Só contam as palavras mais prováveis cujas probabilidades somam esta fração.",
    },
  },
  top_k: {
    type: "int",
    default: 50,
    min: 1,
    max: 100,
    precision: 0,
    help: {
      en_US: "Only this many of the likeliest words are considered.",
      zh_Hans: "只考虑最可能的这么多个词。",
    },
  },
  presence_penalty: {
    ...penalty,
    help: {
      en_US: "Makes words less likely that have been used at all.",
      ja_JP: "一度でも使われた語を出にくくします。",
      zh_Hans: "降低已经出现过的词再次出现的可能。",
      pt_BR: "Torna menos prováveis as palavras que já foram usadas.",
    },
  },
  frequency_penalty: {
    ...penalty,
    help: {
      en_US: "Makes words less likely the more often they have been used.",
      ja_JP: "多く使われた語ほど出にくくします。",
      zh_Hans: "词出现得越多，再次出现的可能越低。",
      pt_BR: "Torna as palavras menos prováveis quanto mais vezes foram usadas.",
    },
  },
  max_tokens: {
    type: "int",
    default: 64,
    min: 1,
    max: 2048,
    precision: 0,
    help: {
      en_US: "The longest answer, in tokens.",
      ja_JP: "答えの最大の長さ（トークン数）です。",
      zh_Hans: "回答的最大长度，以 token 计。",
      pt_BR: "O tamanho máximo da resposta, em tokens.",
    },
  },
  response_format: {
    type: "string",
    options: ["JSON", "XML"],
    help: {
      en_US: "The format in which the model answers.",
      ja_JP: "モデルが答える形式です。",
      zh_Hans: "模型回答所用的格式。",
      pt_BR: "O formato em que o modelo responde.",
    },
  },
  json_schema: {
    type: "string",
    help: { en_US: "The JSON schema that the answer follows.", zh_Hans: "回答所遵循的 JSON schema。" },
  },
};

/** One setting of a model. A template gives what the rule itself leaves open; its label is the rule's own name. */
export function parameterRule(at: Source): JsonObject {
  const rule = ruleFields(at);
  const label = at.get("label").get("en_US").isEmpty
    ? { en_US: rule["name"] ?? "" }
    : (rule["label"] ?? null);
  const named = at.get("use_template").text ?? "";
  const template = Object.hasOwn(RULE_TEMPLATES, named) ? RULE_TEMPLATES[named] : undefined;
  if (named !== "" && template === undefined) {
    throw at.get("use_template").refuse(`one of ${Object.keys(RULE_TEMPLATES).join(", ")}`);
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
