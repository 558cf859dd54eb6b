/** What a model's parameter rule gets from the template that it names. */
export interface RuleTemplate {
  readonly type: string;
  readonly default?: number;
  readonly min?: number;
  readonly max?: number;
  readonly precision?: number;
  readonly options?: readonly string[];
  readonly help: Readonly<Record<string, string>>;
}

const penalty = { type: "float", default: 0, min: 0, max: 1, precision: 2 } as const;

export const RULE_TEMPLATES: Readonly<Record<string, RuleTemplate>> = {
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
