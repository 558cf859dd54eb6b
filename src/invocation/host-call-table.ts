/** What plugins may ask of the host: the permission that each type needs, and what serves it. */
import type { PluginPermission } from "./plugin-catalog.ts";

/** What one type of backwards call needs and what serves it. */
export interface HostCallRule {
  /** What the manifest must declare, for the error message. */
  readonly permission: string;
  readonly allows: (permission: PluginPermission) => boolean;
  readonly servedBy:
    | { readonly kind: "storage" }
    | {
        readonly kind: "plugin";
        readonly type: "tool" | "model";
        readonly action: string;
        readonly message: string;
      }
    | { readonly kind: "platform" };
}

export type HostCallRequest = Readonly<Record<string, unknown>>;

const platform = { kind: "platform" } as const;

function model(flag: string, action: string | undefined, message = "struct"): HostCallRule {
  return {
    permission: `resource.permission.model.enabled and .${flag}`,
    allows: ({ model: flags }) => flags.has(flag),
    servedBy: action === undefined ? platform : { kind: "plugin", type: "model", action, message },
  };
}

const flag = (name: "node" | "app"): HostCallRule => ({
  permission: `resource.permission.${name}.enabled`,
  allows: (permission) => permission[name],
  servedBy: platform,
});

export const HOST_CALLS: Readonly<Record<string, HostCallRule>> = {
  storage: {
    permission: "resource.permission.storage.enabled",
    allows: ({ storageBytes }) => storageBytes > 0,
    servedBy: { kind: "storage" },
  },
  tool: {
    permission: "resource.permission.tool.enabled",
    allows: ({ tool }) => tool,
    servedBy: { kind: "plugin", type: "tool", action: "invoke_tool", message: "stream" },
  },
  llm: model("llm", "invoke_llm", "stream"),
  text_embedding: model("text_embedding", "invoke_text_embedding"),
  multimodal_embedding: model("text_embedding", "invoke_multimodal_embedding"),
  rerank: model("rerank", "invoke_rerank"),
  multimodal_rerank: model("rerank", "invoke_multimodal_rerank"),
  tts: model("tts", "invoke_tts", "stream"),
  speech2text: model("speech2text", "invoke_speech2text"),
  moderation: model("moderation", "invoke_moderation"),
  llm_structured_output: model("llm", undefined),
  system_summary: model("llm", undefined),
  node_parameter_extractor: flag("node"),
  node_question_classifier: flag("node"),
  app: flag("app"),
  fetch_app: flag("app"),
  upload_file: { permission: "none", allows: () => true, servedBy: platform },
};

/**
 * The plugin's request as fields of the operation that serves it; keys that the operation does not know are left out.
 */
export function operationFields(
  type: "tool" | "model",
  request: HostCallRequest,
  provider: string,
  userId: string,
): Record<string, unknown> {
  const { provider: _, user_id: __, tenant_id: ___, type: ____, credential_id: _____, ...own } = request;
  if (type === "tool") {
    return {
      user_id: userId,
      provider,
      tool: own["tool"],
      tool_parameters: own["tool_parameters"] ?? {},
      credentials: {},
    };
  }
  const { completion_params, mode: ______, ...rest } = own;
  return {
    ...rest,
    user_id: userId,
    provider,
    credentials: {},
    ...(completion_params === undefined ? {} : { model_parameters: completion_params }),
  };
}
