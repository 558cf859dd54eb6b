/**
 * Everything that can be asked of a plugin: one row per (type, action) pair of the wire protocol. The table drives the
 * invoke route, the checks before a request is sent, and the OpenAPI document.
 *
 * Schemas are lenient inside: they check that what the SDK needs is there and has the right shape, and say nothing
 * about keys that they do not know. What goes to the plugin is the caller's own JSON, never what a schema made of it.
 */
import { z } from "zod";
import type { FaultCode } from "./fault.ts";
import type { ProviderKind } from "./package.ts";

export interface Operation {
  readonly type: string;
  readonly action: string;
  readonly summary: string;
  /** The Declaration must offer one of these. */
  readonly kinds: readonly ProviderKind[];
  /** Field that names the provider, where the operation has one. */
  readonly providerField: string | undefined;
  /** Field that names one thing of the provider, and the code for one that it does not have. */
  readonly item: { readonly field: string; readonly code: FaultCode } | undefined;
  /** Other names under which a caller may send a field: alias → the wire's name. */
  readonly aliases: Readonly<Record<string, string>>;
  /** Written for the caller where it left the key out: the SDK wants these present. */
  readonly defaults: Readonly<Record<string, unknown>>;
  /** The wire's field that always holds the Session's own tenant. */
  readonly tenantField: string | undefined;
  readonly schema: z.ZodObject;
}

const name = z.string().min(1);
const hex = z.string().regex(/^(?:[0-9a-fA-F]{2})*$/, "bytes as pairs of hex digits");
const bag = z.looseObject({});
const list = z.array(z.unknown());
const nullableList = list.nullish();
const nullableNumber = z.number().nullish();
const credentials = bag.optional();

/** What every request may carry beside its operation's own fields. */
const ENVELOPE = {
  user_id: z.string().min(1),
  conversation_id: z.string().nullish(),
  message_id: z.string().nullish(),
  app_id: z.string().nullish(),
  endpoint_id: z.string().nullish(),
  context: bag.nullish(),
  timeout_ms: z.int().min(1).optional().describe("Shortens the call's deadline; never lengthens it."),
};

type Row = Partial<Pick<Operation, "item" | "aliases" | "defaults" | "tenantField" | "kinds">> & {
  readonly fields: z.ZodRawShape;
  readonly providerField?: string | undefined;
};

function operation(
  type: string,
  action: string,
  kinds: readonly ProviderKind[],
  summary: string,
  row: Row,
): Operation {
  return {
    type,
    action,
    summary,
    kinds: row.kinds ?? kinds,
    providerField: "providerField" in row ? row.providerField : "provider",
    item: row.item,
    aliases: row.aliases ?? {},
    defaults: row.defaults ?? {},
    tenantField: row.tenantField,
    schema: z.looseObject({ ...ENVELOPE, ...row.fields }),
  };
}

const tool = (action: string, summary: string, row: Row) =>
  operation("tool", action, ["tool"], summary, {
    ...row,
    fields: { provider: name, credentials, ...row.fields },
    defaults: { credentials: {}, ...row.defaults },
  });

const TOOL = {
  item: { field: "tool", code: "tool_not_found" },
  aliases: { tool_name: "tool" },
} as const;

const toolName = { tool: name.optional(), tool_name: name.optional() };

function model(action: string, modelType: string | undefined, summary: string, row: Row): Operation {
  return operation("model", action, ["model"], summary, {
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
  });
}

const LLM = {
  fields: {
    prompt_messages: list,
    model_parameters: bag.optional(),
    stop: nullableList,
    tools: nullableList,
    stream: z.boolean().optional(),
  },
  defaults: { model_parameters: {}, stop: null, tools: null },
};

const datasource = (action: string, summary: string, fields: z.ZodRawShape, item = true) =>
  operation("datasource", action, ["datasource"], summary, {
    fields: { provider: name, credentials, ...(item ? { datasource: name } : {}), ...fields },
    defaults: { credentials: {} },
    ...(item ? { item: { field: "datasource", code: "not_found" as const } } : {}),
  });

const trigger = (action: string, summary: string, row: Row) =>
  operation("trigger", action, ["trigger"], summary, {
    ...row,
    fields: { provider: name, ...row.fields },
  });

const oauth = (action: string, summary: string, fields: z.ZodRawShape) =>
  operation("oauth", action, ["tool", "datasource", "trigger"], summary, {
    fields: { provider: name, redirect_uri: z.string(), system_credentials: bag, ...fields },
  });

export const OPERATIONS: readonly Operation[] = [
  tool("invoke_tool", "Runs a tool; items are its messages.", {
    ...TOOL,
    fields: {
      ...toolName,
      credential_type: z.enum(["api-key", "oauth2", "unauthorized"]).optional(),
      tool_parameters: bag.optional(),
    },
    defaults: { tool_parameters: {} },
  }),
  tool("validate_tool_credentials", "Checks a tool provider's credentials.", { fields: {} }),
  tool("get_tool_runtime_parameters", "A tool's parameters that depend on credentials.", {
    ...TOOL,
    fields: toolName,
  }),

  operation("agent_strategy", "invoke_agent_strategy", ["agent_strategy"], "Runs an agent strategy.", {
    fields: { agent_strategy_provider: name, agent_strategy: name, agent_strategy_params: bag },
    providerField: "agent_strategy_provider",
    item: { field: "agent_strategy", code: "not_found" },
  }),

  model("invoke_llm", "llm", "Runs a language model; items are its chunks.", {
    ...LLM,
    defaults: { ...LLM.defaults, stream: true },
  }),
  model("start_polling", "llm", "Starts a long language model call that is polled.", LLM),
  model("check_polling", "llm", "Asks how a polled call stands.", { fields: { plugin_state: bag } }),
  model("get_llm_num_tokens", "llm", "Counts the tokens of a prompt.", {
    fields: { prompt_messages: list, tools: nullableList },
    defaults: { tools: null },
  }),
  model("invoke_text_embedding", "text-embedding", "Embeds texts.", {
    fields: { texts: z.array(z.string()), input_type: z.enum(["document", "query"]).optional() },
    defaults: { input_type: "document" },
  }),
  model("invoke_multimodal_embedding", "text-embedding", "Embeds texts and images.", {
    fields: { documents: list, input_type: z.enum(["document", "query"]).optional() },
    defaults: { input_type: "document" },
  }),
  model("get_text_embedding_num_tokens", "text-embedding", "Counts the tokens of texts.", {
    fields: { texts: z.array(z.string()) },
  }),
  model("invoke_rerank", "rerank", "Orders documents by relevance.", {
    fields: { query: z.string(), docs: list, score_threshold: nullableNumber, top_n: nullableNumber },
    defaults: { score_threshold: null, top_n: null },
  }),
  model("invoke_multimodal_rerank", "rerank", "Orders texts and images by relevance.", {
    fields: { query: bag, docs: list, score_threshold: nullableNumber, top_n: nullableNumber },
    defaults: { score_threshold: null, top_n: null },
  }),
  model("invoke_tts", "tts", "Speaks a text; items are pieces of audio.", {
    fields: { content_text: z.string(), voice: z.string() },
    tenantField: "tenant_id",
  }),
  model("get_tts_model_voices", "tts", "Lists a model's voices.", {
    fields: { language: z.string().nullish() },
    defaults: { language: null },
  }),
  model("invoke_speech2text", "speech2text", "Writes down speech.", { fields: { file: hex } }),
  model("invoke_moderation", "moderation", "Judges a text.", { fields: { text: z.string() } }),
  operation("model", "validate_provider_credentials", ["model"], "Checks a model provider's credentials.", {
    fields: { provider: name, credentials },
    defaults: { credentials: {} },
  }),
  model("validate_model_credentials", undefined, "Checks one model's credentials.", { fields: {} }),
  model("get_ai_model_schemas", undefined, "The schema of a customisable model.", { fields: {} }),

  operation("endpoint", "invoke_endpoint", ["endpoint"], "Hands an HTTP request to the plugin's endpoints.", {
    fields: { user_id: z.string().optional(), settings: bag.optional(), raw_http_request: hex },
    defaults: { user_id: "", settings: {} },
    providerField: undefined,
  }),

  oauth("get_authorization_url", "Where a user grants access.", {}),
  oauth("get_credentials", "Turns a callback into credentials.", { raw_http_request: hex }),
  oauth("refresh_credentials", "Refreshes credentials.", { credentials: bag }),

  operation(
    "dynamic_parameter",
    "fetch_parameter_options",
    ["trigger", "tool"],
    "Options of a dynamic parameter.",
    {
      fields: {
        provider: name,
        provider_action: name,
        parameter: name,
        credentials,
        credential_type: z.string().optional(),
      },
      defaults: { credentials: {}, credential_type: "unauthorized" },
    },
  ),

  datasource("validate_datasource_credentials", "Checks a datasource's credentials.", {}, false),
  datasource("invoke_website_datasource_get_crawl", "Crawls a website.", { datasource_parameters: bag }),
  datasource("invoke_online_document_datasource_get_pages", "Lists pages.", { datasource_parameters: bag }),
  datasource("invoke_online_document_datasource_get_page_content", "Reads a page.", { page: bag }),
  datasource("invoke_online_drive_browse_files", "Lists files of a drive.", { request: bag }),
  datasource("invoke_online_drive_download_file", "Reads a file of a drive.", { request: bag }),

  trigger("validate_trigger_credentials", "Checks a trigger's credentials.", {
    fields: { credentials },
    defaults: { credentials: {} },
  }),
  trigger("dispatch_trigger_event", "Which events an incoming request means.", {
    fields: {
      subscription: bag,
      credentials: bag.nullish(),
      credential_type: z.string().nullish(),
      raw_http_request: hex,
    },
    defaults: { credentials: null, credential_type: null },
  }),
  trigger("invoke_trigger_event", "Turns an event into variables.", {
    fields: {
      event: name,
      credentials,
      credential_type: z.string().nullish(),
      subscription: bag,
      raw_http_request: hex,
      parameters: bag.optional(),
      payload: bag.optional(),
    },
    defaults: { credentials: {}, credential_type: null, parameters: {}, payload: {} },
    item: { field: "event", code: "not_found" },
  }),
  trigger("subscribe_trigger", "Makes a subscription.", {
    fields: { credentials, credential_type: z.string(), endpoint: z.string(), parameters: bag.optional() },
    defaults: { credentials: {}, parameters: {} },
  }),
  trigger("unsubscribe_trigger", "Ends a subscription.", {
    fields: { subscription: bag, credentials, credential_type: z.string() },
    defaults: { credentials: {} },
  }),
  trigger("refresh_trigger", "Renews a subscription.", {
    fields: { subscription: bag, credentials, credential_type: z.string() },
    defaults: { credentials: {} },
  }),
];

/** Finds a row by pair; made once by whoever needs it. */
export function indexOperations(): (type: string, action: string) => Operation | undefined {
  const rows = new Map(OPERATIONS.map((row) => [`${row.type}/${row.action}`, row]));
  return (type, action) => rows.get(`${type}/${action}`);
}
