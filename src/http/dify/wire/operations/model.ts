import {
  field,
  flag,
  list,
  map,
  min,
  named,
  needed,
  number,
  omitted,
  oneOf,
  type Rule,
  struct,
  text,
  whole,
} from "../shape.ts";
import { CREDENTIALS, type Dispatches, PROVIDER } from "./dispatch.ts";
import { PROMPT_MESSAGES, TOOL_CHOICE, TOOLS } from "./prompt-messages.ts";

const MODEL_TYPES = [
  ...["llm", "text-embedding", "rerank", "speech2text", "moderation", "tts", "text2img"],
  ...["multimodal-embedding", "multimodal-rerank"],
];

const isModelType: Rule = {
  tag: "model_type",
  holds: (value) => typeof value === "string" && MODEL_TYPES.includes(value),
};

const MODEL_FIELDS = { ...PROVIDER, model: needed(text), ...CREDENTIALS };

const ANY_TYPE = { model_type: needed(text, isModelType) };

/** The routes of content that is not only text take whatever type their callers know. */
const UNCHECKED_TYPE = { model_type: needed(text) };

function ofType(type: string) {
  return { model_type: needed(text, isModelType, { tag: "eq", holds: (value) => value === type }) };
}

const LLM_DATA = struct({
  ...MODEL_FIELDS,
  model_parameters: field(map),
  prompt_messages: field(PROMPT_MESSAGES),
  tools: field(TOOLS),
  tool_choice: omitted(TOOL_CHOICE),
  stop: field(list(text)),
  json_schema: named("JSONSchema", field(map)),
  stream: field(flag),
  ...ofType("llm"),
});

const CONTENT = struct({
  content: needed(text),
  content_type: needed(text, { tag: "multimodal_content_type", holds: oneOf(["text", "image"]).holds }),
});

const RANKING = { score_threshold: field(number), top_n: field(whole) };

export const MODEL_DISPATCH: Dispatches = {
  invoke_llm: { path: "llm/invoke", data: LLM_DATA, chunk: "llm" },
  start_polling: { path: "model/polling/start", data: LLM_DATA, chunk: "polling", isPolled: true },
  check_polling: {
    path: "model/polling/check",
    data: struct({ ...MODEL_FIELDS, ...ofType("llm"), plugin_state: needed(map, min(1)) }),
    chunk: "polling",
    isPolled: true,
  },
  get_llm_num_tokens: {
    path: "llm/num_tokens",
    data: struct({
      ...MODEL_FIELDS,
      ...ofType("llm"),
      prompt_messages: field(PROMPT_MESSAGES),
      tools: field(TOOLS),
    }),
    chunk: "token_count",
  },
  invoke_text_embedding: {
    path: "text_embedding/invoke",
    data: struct({
      ...MODEL_FIELDS,
      texts: needed(list(text)),
      input_type: needed(text),
      ...ofType("text-embedding"),
    }),
    chunk: "embeddings",
  },
  invoke_multimodal_embedding: {
    path: "multimodal_embedding/invoke",
    data: struct({
      ...MODEL_FIELDS,
      documents: needed(list(CONTENT)),
      input_type: needed(text, oneOf(["document", "query"])),
      ...UNCHECKED_TYPE,
    }),
    chunk: "embeddings",
  },
  get_text_embedding_num_tokens: {
    path: "text_embedding/num_tokens",
    data: struct({ ...MODEL_FIELDS, ...ofType("text-embedding"), texts: needed(list(text)) }),
    chunk: "token_counts",
  },
  invoke_rerank: {
    path: "rerank/invoke",
    data: struct({
      ...MODEL_FIELDS,
      query: needed(text),
      docs: needed(list(text)),
      ...RANKING,
      ...ofType("rerank"),
    }),
    chunk: "rerank",
  },
  invoke_multimodal_rerank: {
    path: "multimodal_rerank/invoke",
    data: struct({
      ...MODEL_FIELDS,
      query: field(CONTENT),
      docs: needed(list(CONTENT)),
      ...RANKING,
      ...UNCHECKED_TYPE,
    }),
    chunk: "rerank",
  },
  invoke_tts: {
    path: "tts/invoke",
    data: struct({
      ...MODEL_FIELDS,
      content_text: needed(text),
      voice: needed(text),
      tenant_id: needed(text),
      ...ofType("tts"),
    }),
    chunk: "speech",
  },
  get_tts_model_voices: {
    path: "tts/model/voices",
    data: struct({ ...MODEL_FIELDS, ...ofType("tts"), language: field(text) }),
    chunk: "voices",
  },
  invoke_speech2text: {
    path: "speech2text/invoke",
    data: struct({ ...MODEL_FIELDS, file: needed(text), ...ofType("speech2text") }),
    chunk: "transcript",
  },
  invoke_moderation: {
    path: "moderation/invoke",
    data: struct({ ...MODEL_FIELDS, text: needed(text), ...ofType("moderation") }),
    chunk: "verdict",
  },
  validate_provider_credentials: {
    path: "model/validate_provider_credentials",
    data: struct({ ...CREDENTIALS, ...PROVIDER }),
    chunk: "credentials_verdict",
  },
  validate_model_credentials: {
    path: "model/validate_model_credentials",
    data: struct({ ...MODEL_FIELDS, ...ANY_TYPE }),
    chunk: "credentials_verdict",
  },
  get_ai_model_schemas: {
    path: "model/schema",
    data: struct({ ...MODEL_FIELDS, ...ANY_TYPE }),
    chunk: "model_schema",
  },
};
