/** What more than one of the Store's contracts speaks of. */
import type { Installation } from "../../domain/installation.ts";
import type { Task } from "../../domain/task.ts";

export interface Page<T> {
  readonly items: readonly T[];
  /** Pass it back as `cursor` for what follows; undefined at the end. */
  readonly nextCursor: string | undefined;
}
export interface PageRequest {
  readonly limit: number;
  readonly cursor?: string;
}

export interface Accepted {
  readonly installation: Installation;
  readonly task: Task;
  /** True where this request made the task; false where the same one was there, or in flight, already. */
  readonly created: boolean;
}

/** Makes a repeated request answer what the first one was answered, for 24 h. */
export interface IdempotencyClaim {
  /** Id of the key that asked. */
  readonly holder: string;
  readonly key: string;
  /** Hash of method, path and body. */
  readonly requestHash: string;
}
