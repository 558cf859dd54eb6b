/** Types that several of the store's contracts share. */
import type { Installation } from "../../domain/installation.ts";
import type { Task } from "../../domain/task.ts";

export interface Page<T> {
  readonly items: readonly T[];
  /** The `cursor` of the next page; undefined at the end. */
  readonly nextCursor: string | undefined;
}
export interface PageRequest {
  readonly limit: number;
  readonly cursor?: string;
}

export interface Accepted {
  readonly installation: Installation;
  readonly task: Task;
  /** False where the same task existed already, unfinished or not. */
  readonly created: boolean;
}

/** Makes a repeated request get the first one's answer, for 24 h. */
export interface IdempotencyClaim {
  /** Id of the API key of the request. */
  readonly holder: string;
  readonly key: string;
  /** Hash of method, path and body. */
  readonly requestHash: string;
}
