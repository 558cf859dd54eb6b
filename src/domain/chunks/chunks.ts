/**
 * What a plugin's answers become on their way to a platform that knows the daemon: one reader per kind of chunk. A
 * reader is opened for each stream, so that it may remember what came before.
 */

export interface ChunkReader {
  /**
   * The chunk as it goes into the envelope; undefined where there is nothing to send yet. Throws `plugin_error`, whose
   * details are the inner error, for what is no chunk of its kind.
   */
  read(data: unknown): unknown;
}

interface ChunkRow {
  open(): ChunkReader;
}

const AS_IT_IS: ChunkRow = { open: () => ({ read: (data) => data }) };

export const CHUNKS = {
  tool: AS_IT_IS,
  agent: AS_IT_IS,
  flag: AS_IT_IS,
  runtime_parameters: AS_IT_IS,
  llm: AS_IT_IS,
  num_tokens: AS_IT_IS,
  embedding: AS_IT_IS,
  embedding_tokens: AS_IT_IS,
  rerank: AS_IT_IS,
  tts: AS_IT_IS,
  voices: AS_IT_IS,
  speech: AS_IT_IS,
  validation: AS_IT_IS,
  model_schema: AS_IT_IS,
  polling: AS_IT_IS,
  authorization_url: AS_IT_IS,
  oauth_credentials: AS_IT_IS,
  oauth_refreshed: AS_IT_IS,
  options: AS_IT_IS,
  website_crawl: AS_IT_IS,
  document_pages: AS_IT_IS,
  drive_files: AS_IT_IS,
  trigger_event: AS_IT_IS,
  trigger_dispatch: AS_IT_IS,
  subscription: AS_IT_IS,
} as const satisfies Record<string, ChunkRow>;

export type ChunkKind = keyof typeof CHUNKS;
