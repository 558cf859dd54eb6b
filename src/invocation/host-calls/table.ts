/** What plugins may ask of the host: the permission that each type needs, and how the platform or Berth serves it. */
import type { HostCallType } from "../../domain/host-call.ts";
import type { Permission } from "../../domain/permission.ts";
import type { AnswerForm } from "../../platform/inner-api.ts";

/** What one type of call back needs and what serves it. */
export interface HostCallRule {
  /** What the manifest must ask for and the operator grant; undefined where it is always allowed. */
  readonly needs: Permission | undefined;
  /** How the SDK knows an answer: any number of items, or one. */
  readonly message: "stream" | "struct";
  /** Undefined: no platform serves it. */
  readonly platform: PlatformService | undefined;
  /** Undefined: only a platform serves it. */
  readonly local: LocalService | undefined;
}

export interface PlatformService {
  /** Below `/inner/api/`. */
  readonly path: string;
  readonly answer: AnswerForm;
  /**
   * Members that the platform demands although plugins may leave them out, with the values that its own daemon sends
   * then.
   */
  readonly defaults?: Readonly<Record<string, unknown>>;
}

export type LocalService =
  | { readonly kind: "storage" }
  /** An operation of a plugin of the same tenant. */
  | { readonly kind: "plugin"; readonly type: "tool" | "model"; readonly action: string };

type ModelFlag = Permission extends infer P ? (P extends `model.${infer Flag}` ? Flag : never) : never;

const RERANK = { score_threshold: 0, top_n: 0 };
const INSTRUCTION = { instruction: "" };

/** In the order of the page. */
export const HOST_CALLS: Readonly<Record<HostCallType, HostCallRule>> = {
  storage: {
    needs: "storage",
    message: "struct",
    platform: undefined,
    local: { kind: "storage" },
  },
  tool: {
    needs: "tool",
    message: "stream",
    platform: { path: "invoke/tool", answer: "frames" },
    local: { kind: "plugin", type: "tool", action: "invoke_tool" },
  },
  llm: model("llm", { path: "invoke/llm", answer: "frames" }, "invoke_llm"),
  llm_structured_output: model("llm", { path: "invoke/llm/structured-output", answer: "frames" }),
  text_embedding: model("text_embedding", single("invoke/text-embedding"), "invoke_text_embedding"),
  multimodal_embedding: model(
    "text_embedding",
    single("invoke/multimodal-embedding"),
    "invoke_multimodal_embedding",
  ),
  rerank: model("rerank", single("invoke/rerank", RERANK), "invoke_rerank"),
  multimodal_rerank: model("rerank", single("invoke/multimodal-rerank", RERANK), "invoke_multimodal_rerank"),
  tts: model("tts", { path: "invoke/tts", answer: "frames" }, "invoke_tts"),
  speech2text: model("speech2text", single("invoke/speech2text"), "invoke_speech2text"),
  moderation: model("moderation", single("invoke/moderation"), "invoke_moderation"),
  system_summary: model("llm", single("invoke/summary", INSTRUCTION)),
  node_parameter_extractor: flagged("node", single("invoke/parameter-extractor", INSTRUCTION)),
  node_question_classifier: flagged("node", single("invoke/question-classifier", INSTRUCTION)),
  app: flagged("app", { path: "invoke/app", answer: "frames" }),
  fetch_app: flagged("app", { path: "fetch/app/info", answer: "nested document" }),
  upload_file: {
    needs: undefined,
    ...byPlatform(single("upload/file/request")),
    local: undefined,
  },
};

function model(flag: ModelFlag, platform: PlatformService, action?: string): HostCallRule {
  return {
    needs: `model.${flag}`,
    ...byPlatform(platform),
    local: action === undefined ? undefined : { kind: "plugin", type: "model", action },
  };
}

function flagged(name: "node" | "app", platform: PlatformService): HostCallRule {
  return {
    needs: name,
    ...byPlatform(platform),
    local: undefined,
  };
}

function byPlatform(platform: PlatformService): Pick<HostCallRule, "message" | "platform"> {
  return { message: platform.answer === "frames" ? "stream" : "struct", platform };
}

function single(path: string, defaults?: PlatformService["defaults"]): PlatformService {
  return { path, answer: "document", ...(defaults !== undefined && { defaults }) };
}
