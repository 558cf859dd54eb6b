import type { JsonMap } from "../../../../domain/json.ts";
import type { ChunkKind } from "../chunks/chunks.ts";
import { field, map, needed, omitted, type Shape, text } from "../shape.ts";

/** An operation as a route of the daemon's. */
export interface Dispatch {
  /** Below `/dispatch/`. */
  readonly path: string;
  /** The body's `data`: what is in it and in no other shape reaches the plugin. */
  readonly data: Shape<JsonMap>;
  readonly chunk: ChunkKind;
  /** Answered with one JSON document, and only below a Tenant's path. */
  readonly isPolled?: true;
}

/** The routes of one type of operation, by action. */
export type Dispatches = Readonly<Record<string, Dispatch>>;

/** Fields that several operations have in common. */
export const CREDENTIALS = { credentials: field(map), credential_type: omitted(text) };
export const PROVIDER = { provider: needed(text) };
