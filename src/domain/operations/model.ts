import { z } from "zod";
import { PROMPT_MESSAGES, TOOL_CHOICE, TOOLS } from "../../http/dify/wire/operations/prompt-messages.ts";
import { CREDENTIALS, PROVIDER } from "../../http/dify/wire/operations/wire-fields.ts";
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
} from "../../http/dify/wire/shape.ts";
import {
  bag,
  credentials,
  hex,
  items,
  name,
  type Operation,
  type OperationRow,
  operation,
} from "./operation.ts";

const nullableItems = items.nullish();
const nullableNumber = z.number().nullish();

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

const LLM = {
  fields: {
    prompt_messages: items,
    model_parameters: bag.optional(),
    stop: nullableItems,
    tools: nullableItems,
    stream: z.boolean().optional(),
  },
  defaults: { model_parameters: {}, stop: null, tools: null },
};

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

const EMBEDDING_INPUT = z.enum(["document", "query"]).optional();

const RANKING = { score_threshold: field(number), top_n: field(whole) };

const LLM_OPERATIONS: readonly Operation[] = [
  model("invoke_llm", "llm", "Runs a language model; items are its chunks.", {
    ...LLM,
    defaults: { ...LLM.defaults, stream: true },
    dispatch: { path: "llm/invoke", data: LLM_DATA, chunk: "llm" },
  }),
  model("start_polling", "llm", "Starts a long language model call that is polled.", {
    ...LLM,
    dispatch: { path: "model/polling/start", data: LLM_DATA, chunk: "polling", isPolled: true },
  }),
  model("check_polling", "llm", "Asks how a polled call stands.", {
    fields: { plugin_state: bag },
    dispatch: {
      path: "model/polling/check",
      data: struct({ ...MODEL_FIELDS, ...ofType("llm"), plugin_state: needed(map, min(1)) }),
      chunk: "polling",
      isPolled: true,
    },
  }),
  model("get_llm_num_tokens", "llm", "Counts the tokens of a prompt.", {
    fields: { prompt_messages: items, tools: nullableItems },
    defaults: { tools: null },
    dispatch: {
      path: "llm/num_tokens",
      data: struct({
        ...MODEL_FIELDS,
        ...ofType("llm"),
        prompt_messages: field(PROMPT_MESSAGES),
        tools: field(TOOLS),
      }),
      chunk: "token_count",
    },
  }),
];

const EMBEDDING_OPERATIONS: readonly Operation[] = [
  model("invoke_text_embedding", "text-embedding", "Embeds texts.", {
    fields: { texts: z.array(z.string()), input_type: EMBEDDING_INPUT },
    defaults: { input_type: "document" },
    dispatch: {
      path: "text_embedding/invoke",
      data: struct({
        ...MODEL_FIELDS,
        texts: needed(list(text)),
        input_type: needed(text),
        ...ofType("text-embedding"),
      }),
      chunk: "embeddings",
    },
  }),
  model("invoke_multimodal_embedding", "text-embedding", "Embeds texts and images.", {
    fields: { documents: items, input_type: EMBEDDING_INPUT },
    defaults: { input_type: "document" },
    dispatch: {
      path: "multimodal_embedding/invoke",
      data: struct({
        ...MODEL_FIELDS,
        documents: needed(list(CONTENT)),
        input_type: needed(text, oneOf(["document", "query"])),
        ...UNCHECKED_TYPE,
      }),
      chunk: "embeddings",
    },
  }),
  model("get_text_embedding_num_tokens", "text-embedding", "Counts the tokens of texts.", {
    fields: { texts: z.array(z.string()) },
    dispatch: {
      path: "text_embedding/num_tokens",
      data: struct({ ...MODEL_FIELDS, ...ofType("text-embedding"), texts: needed(list(text)) }),
      chunk: "token_counts",
    },
  }),
  model("invoke_rerank", "rerank", "Orders documents by relevance.", {
    fields: { query: z.string(), docs: items, score_threshold: nullableNumber, top_n: nullableNumber },
    defaults: { score_threshold: null, top_n: null },
    dispatch: {
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
  }),
  model("invoke_multimodal_rerank", "rerank", "Orders texts and images by relevance.", {
    fields: { query: bag, docs: items, score_threshold: nullableNumber, top_n: nullableNumber },
    defaults: { score_threshold: null, top_n: null },
    dispatch: {
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
  }),
];

const MEDIA_OPERATIONS: readonly Operation[] = [
  model("invoke_tts", "tts", "Speaks a text; items are pieces of audio.", {
    fields: { content_text: z.string(), voice: z.string() },
    tenantField: "tenant_id",
    dispatch: {
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
  }),
  model("get_tts_model_voices", "tts", "Lists a model's voices.", {
    fields: { language: z.string().nullish() },
    defaults: { language: null },
    dispatch: {
      path: "tts/model/voices",
      data: struct({ ...MODEL_FIELDS, ...ofType("tts"), language: field(text) }),
      chunk: "voices",
    },
  }),
  model("invoke_speech2text", "speech2text", "Writes down speech.", {
    fields: { file: hex },
    dispatch: {
      path: "speech2text/invoke",
      data: struct({ ...MODEL_FIELDS, file: needed(text), ...ofType("speech2text") }),
      chunk: "transcript",
    },
  }),
  model("invoke_moderation", "moderation", "Judges a text.", {
    fields: { text: z.string() },
    dispatch: {
      path: "moderation/invoke",
      data: struct({ ...MODEL_FIELDS, text: needed(text), ...ofType("moderation") }),
      chunk: "verdict",
    },
  }),
];

export const MODEL_OPERATIONS: readonly Operation[] = [
  ...LLM_OPERATIONS,
  ...EMBEDDING_OPERATIONS,
  ...MEDIA_OPERATIONS,
  operation(
    {
      ...{ type: "model", action: "validate_provider_credentials", kinds: ["model"] },
      summary: "Checks a model provider's credentials.",
    },
    {
      fields: { provider: name, credentials },
      defaults: { credentials: {} },
      dispatch: {
        path: "model/validate_provider_credentials",
        data: struct({ ...CREDENTIALS, ...PROVIDER }),
        chunk: "credentials_verdict",
      },
    },
  ),
  model("validate_model_credentials", undefined, "Checks one model's credentials.", {
    fields: {},
    dispatch: {
      path: "model/validate_model_credentials",
      data: struct({ ...MODEL_FIELDS, ...ANY_TYPE }),
      chunk: "credentials_verdict",
    },
  }),
  model("get_ai_model_schemas", undefined, "The schema of a customisable model.", {
    fields: {},
    dispatch: {
      path: "model/schema",
      data: struct({ ...MODEL_FIELDS, ...ANY_TYPE }),
      chunk: "model_schema",
    },
  }),
];

function model(action: string, modelType: string | undefined, summary: string, row: OperationRow): Operation {
  return operation(
    { type: "model", action, kinds: ["model"], summary },
    {
      ...row,
      fields: {
        provider: name,
        model: name,
        model_type: modelType === undefined ? name : name.optional(),
        credentials,
        ...row.fields,
      },
      defaults: {
        ...(modelType === undefined ? {} : { model_type: modelType }),
        credentials: {},
        ...row.defaults,
      },
    },
  );
}
