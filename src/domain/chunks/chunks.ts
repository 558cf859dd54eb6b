/**
 * What plugins answer, as clients of the Dify door know it: one reader per kind of chunk. A reader is opened for each
 * Invocation, for some of them put several items of the plugin's stream together.
 */

export interface ChunkReader {
  /**
   * The normalised chunk; undefined where there is nothing to send yet. Throws `plugin_error` where the plugin's item
   * is none of its kind: its details are `error_type` and `message`, as a client reads them.
   */
  read(data: unknown): unknown;
}

export interface ChunkShape {
  open(): ChunkReader;
}

const passing: ChunkShape = { open: () => ({ read: (data) => data }) };

export const CHUNKS = {
  /** `{ type, message, meta }` of tools, pages and files */
  message: passing,
  /** the same of agent strategies: pieces of a file are put together */
  agent_message: passing,
  /** `{ result: bool }` */
  verdict: passing,
  /** `{ result: bool, credentials }` */
  credentials_verdict: passing,
  runtime_parameters: passing,
  llm: passing,
  /** `{ num_tokens: int }` */
  token_count: passing,
  /** `{ num_tokens: int[] }` */
  token_counts: passing,
  embeddings: passing,
  rerank: passing,
  speech: passing,
  voices: passing,
  /** `{ result: text }` */
  transcript: passing,
  model_schema: passing,
  polling: passing,
  authorization_url: passing,
  oauth_credentials: passing,
  refreshed_credentials: passing,
  options: passing,
  website_crawl: passing,
  document_pages: passing,
  drive_files: passing,
  event_variables: passing,
  dispatched_event: passing,
  subscription: passing,
} as const satisfies Record<string, ChunkShape>;

export type ChunkKind = keyof typeof CHUNKS;
