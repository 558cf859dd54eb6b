/**
 * What host and plugin say to each other: one JSON object per line, both ways. Unknown keys are stripped, never
 * refused: plugins of every SDK release must go on working.
 */

/** Host to plugin. All eight keys are always written. */
export interface RequestFrame {
  readonly session_id: string;
  readonly conversation_id: string | null;
  readonly message_id: string | null;
  readonly app_id: string | null;
  readonly endpoint_id: string | null;
  readonly context: unknown;
  readonly event: "request" | "backwards_response";
  readonly data: unknown;
}

/** Plugin to host, the inner envelope of a `session` event. */
export type SessionFrame =
  | { readonly type: "stream"; readonly data: unknown }
  | { readonly type: "invoke"; readonly data: unknown }
  | { readonly type: "error"; readonly data: unknown }
  | { readonly type: "end"; readonly data: unknown };
