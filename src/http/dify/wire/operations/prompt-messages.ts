/**
 * The prompt of a language model as the daemon passes it on: every message and every piece of content with all of its
 * members. A message without a role, or with content that is neither a text nor a list of pieces, is refused.
 */

import { isMap } from "../../../../domain/json.ts";
import {
  anything,
  asGiven,
  field,
  list,
  map,
  named,
  needed,
  omitted,
  oneOf,
  pointer,
  type Rule,
  type Shape,
  struct,
  text,
} from "../shape.ts";

const CONTENT_ITEM = struct({
  type: field(text),
  base64_data: field(text),
  url: field(text),
  data: field(text),
  encode_format: field(text),
  format: field(text),
  mime_type: field(text),
  detail: field(text),
  filename: field(text),
  opaque_body: asGiven(anything),
});

/** Null where a message cannot hold the value. */
const content: Shape<unknown> = {
  zero: null,
  read(value, at) {
    if (typeof value === "string") return value;
    if (Array.isArray(value) && value.every(isMap)) return value.map((item) => CONTENT_ITEM.read(item, at));
    at.mismatch("string", value);
    return null;
  },
};

const isThere: Rule = { tag: "required", holds: (value) => value !== null };

export const TOOL_CALL = struct({
  id: field(text),
  type: field(text),
  function: field(struct({ name: field(text), arguments: field(text) })),
});

export const MESSAGE_FIELDS = {
  role: needed(text),
  content: { shape: content, rules: [isThere] },
  name: field(text),
  tool_calls: field(list(TOOL_CALL)),
  tool_call_id: named("ToolCallId", field(text)),
  opaque_body: asGiven(anything),
};

export const PROMPT_MESSAGES = list(struct(MESSAGE_FIELDS));

export const TOOLS = list(struct({ name: needed(text), description: field(text), parameters: field(map) }));

const CHOICE = struct({
  mode: needed(text, oneOf(["auto", "none", "required", "tool"])),
  name: omitted(text),
});

/** The choice of one tool must name it. */
export const TOOL_CHOICE: Shape<unknown> = pointer({
  ...CHOICE,
  zero: CHOICE.zero,
  check(value, path, broken) {
    CHOICE.check?.(value, path, broken);
    if (value.mode !== "tool" || (value.name ?? "").trim() !== "") return;
    broken.push(
      `Key: '${path}.Name' Error:Field validation for 'Name' failed on the 'required_for_tool' tag`,
    );
  },
});
