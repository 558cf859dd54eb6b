/**
 * What host and plugin say to each other: one JSON object per line, both ways. Unknown keys are stripped, never
 * refused: plugins of every SDK release must go on working.
 */

/** Plugin to host, the inner envelope of a `session` event. */
export type SessionFrame =
  | { readonly type: "stream"; readonly data: unknown }
  | { readonly type: "invoke"; readonly data: unknown }
  | { readonly type: "error"; readonly data: unknown }
  | { readonly type: "end"; readonly data: unknown };
