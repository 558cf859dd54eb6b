/** Answers of plugins as clients of the Dify door expect them: one reader per kind of chunk. */
import { LLM_CHUNK, TOKEN_COUNT } from "./llm.ts";
import { agentMessages, messages } from "./messages.ts";
import {
  CREDENTIALS_VERDICT,
  EMBEDDINGS,
  RANKING,
  SPEECH,
  TOKEN_COUNTS,
  TRANSCRIPT,
  VERDICT,
  VOICES,
} from "./model-results.ts";
import { MODEL_SCHEMA } from "./model-schema.ts";
import { OPTIONS, RUNTIME_PARAMETERS } from "./parameters.ts";
import { POLLED } from "./polling.ts";
import {
  AUTHORIZATION_URL,
  DISPATCHED_EVENT,
  DOCUMENT_PAGES,
  DRIVE_FILES,
  EVENT_VARIABLES,
  OAUTH_CREDENTIALS,
  REFRESHED_CREDENTIALS,
  SUBSCRIPTION,
  WEBSITE_CRAWL,
} from "./provider-results.ts";
import { type ChunkKindRow, each } from "./reader.ts";

export const CHUNKS = {
  message: messages,
  agent_message: agentMessages,
  verdict: each(VERDICT),
  credentials_verdict: each(CREDENTIALS_VERDICT),
  runtime_parameters: each(RUNTIME_PARAMETERS),
  llm: each(LLM_CHUNK),
  token_count: each(TOKEN_COUNT),
  token_counts: each(TOKEN_COUNTS),
  embeddings: each(EMBEDDINGS),
  rerank: each(RANKING),
  speech: each(SPEECH),
  voices: each(VOICES),
  transcript: each(TRANSCRIPT),
  model_schema: each(MODEL_SCHEMA),
  polling: each(POLLED),
  authorization_url: each(AUTHORIZATION_URL),
  oauth_credentials: each(OAUTH_CREDENTIALS),
  refreshed_credentials: each(REFRESHED_CREDENTIALS),
  options: each(OPTIONS),
  website_crawl: each(WEBSITE_CRAWL),
  document_pages: each(DOCUMENT_PAGES),
  drive_files: each(DRIVE_FILES),
  event_variables: each(EVENT_VARIABLES),
  dispatched_event: each(DISPATCHED_EVENT),
  subscription: each(SUBSCRIPTION),
} as const satisfies Record<string, ChunkKindRow>;

export type ChunkKind = keyof typeof CHUNKS;
