import { z } from "zod";
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

const EMBEDDING_INPUT = z.enum(["document", "query"]).optional();

const LLM_OPERATIONS: readonly Operation[] = [
  model("invoke_llm", "llm", "Runs a language model; items are its chunks.", {
    ...LLM,
    defaults: { ...LLM.defaults, stream: true },
  }),
  model("start_polling", "llm", "Starts a long language model call, to be polled.", {
    ...LLM,
  }),
  model("check_polling", "llm", "Returns the state of a polled call.", {
    fields: { plugin_state: bag },
  }),
  model("get_llm_num_tokens", "llm", "Counts the tokens of a prompt.", {
    fields: { prompt_messages: items, tools: nullableItems },
    defaults: { tools: null },
  }),
];

const EMBEDDING_OPERATIONS: readonly Operation[] = [
  model("invoke_text_embedding", "text-embedding", "Embeds texts.", {
    fields: { texts: z.array(z.string()), input_type: EMBEDDING_INPUT },
    defaults: { input_type: "document" },
  }),
  model("invoke_multimodal_embedding", "text-embedding", "Embeds texts and images.", {
    fields: { documents: items, input_type: EMBEDDING_INPUT },
    defaults: { input_type: "document" },
  }),
  model("get_text_embedding_num_tokens", "text-embedding", "Counts the tokens of texts.", {
    fields: { texts: z.array(z.string()) },
  }),
  model("invoke_rerank", "rerank", "Orders documents by relevance.", {
    fields: { query: z.string(), docs: items, score_threshold: nullableNumber, top_n: nullableNumber },
    defaults: { score_threshold: null, top_n: null },
  }),
  model("invoke_multimodal_rerank", "rerank", "Orders texts and images by relevance.", {
    fields: { query: bag, docs: items, score_threshold: nullableNumber, top_n: nullableNumber },
    defaults: { score_threshold: null, top_n: null },
  }),
];

const MEDIA_OPERATIONS: readonly Operation[] = [
  model("invoke_tts", "tts", "Turns a text into speech; items are pieces of audio.", {
    fields: { content_text: z.string(), voice: z.string() },
    tenantField: "tenant_id",
  }),
  model("get_tts_model_voices", "tts", "Lists a model's voices.", {
    fields: { language: z.string().nullish() },
    defaults: { language: null },
  }),
  model("invoke_speech2text", "speech2text", "Turns speech into text.", {
    fields: { file: hex },
  }),
  model("invoke_moderation", "moderation", "Moderates a text.", {
    fields: { text: z.string() },
  }),
];

export const MODEL_OPERATIONS: readonly Operation[] = [
  ...LLM_OPERATIONS,
  ...EMBEDDING_OPERATIONS,
  ...MEDIA_OPERATIONS,
  operation(
    {
      type: "model",
      action: "validate_provider_credentials",
      kinds: ["model"],
      summary: "Checks a model provider's credentials.",
    },
    {
      fields: { provider: name, credentials },
      defaults: { credentials: {} },
    },
  ),
  model("validate_model_credentials", undefined, "Checks one model's credentials.", {
    fields: {},
  }),
  model("get_ai_model_schemas", undefined, "Returns the schema of a customisable model.", {
    fields: {},
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
