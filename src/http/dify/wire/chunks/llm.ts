import { isMap } from "../../../../domain/json.ts";
import { MESSAGE_FIELDS, TOOL_CALL } from "../operations/prompt-messages.ts";
import {
  field,
  needed,
  number,
  oneOf,
  optionalText,
  pointer,
  type Rule,
  type Shape,
  struct,
  text,
  whole,
} from "../shape.ts";
import { decimal, given, listOrEmpty } from "./values.ts";

const ROLES = ["system", "user", "assistant", "tool"];
const PIECE_TYPES = ["text", "image", "audio", "video", "document"];

/** A text, or pieces of the known kinds. */
const isContent: Rule = {
  tag: "prompt_message_content",
  holds: (value) => !Array.isArray(value) || value.every(isPiece),
};

const ANSWER = struct({
  ...MESSAGE_FIELDS,
  role: needed(text, oneOf(ROLES)),
  content: { ...MESSAGE_FIELDS.content, rules: [...MESSAGE_FIELDS.content.rules, isContent] },
  tool_calls: field(listOrEmpty(TOOL_CALL)),
});

const isGiven = { count: field(pointer(whole), given), seconds: field(pointer(number), given) };

function isPiece(value: unknown): boolean {
  return isMap(value) && PIECE_TYPES.includes(String(value["type"]));
}

const USAGE = struct({
  prompt_tokens: isGiven.count,
  prompt_unit_price: field(decimal),
  prompt_price_unit: field(decimal),
  prompt_price: field(decimal),
  completion_tokens: isGiven.count,
  completion_unit_price: field(decimal),
  completion_price_unit: field(decimal),
  completion_price: field(decimal),
  total_tokens: isGiven.count,
  total_price: field(decimal),
  currency: field(optionalText, given),
  latency: isGiven.seconds,
});

/** Always empty, whatever the plugin sends; kept for clients that read it. */
const noMessages: Shape<readonly never[]> = { zero: [], read: () => [] };

export const LLM_CHUNK = struct({
  model: needed(text),
  system_fingerprint: field(text),
  delta: field(
    struct({
      index: isGiven.count,
      message: field(ANSWER),
      usage: field(pointer(USAGE)),
      finish_reason: field(optionalText),
    }),
  ),
  prompt_messages: field(noMessages),
});

export const TOKEN_COUNT = struct({ num_tokens: field(whole) });
