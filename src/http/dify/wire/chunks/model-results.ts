import {
  field,
  flag,
  list,
  map,
  needed,
  number,
  omitted,
  optionalText,
  pointer,
  struct,
  text,
  whole,
} from "../shape.ts";
import { decimal, given, vectors } from "./values.ts";

const count = field(pointer(whole), given);
const seconds = field(pointer(number), given);

export const EMBEDDINGS = struct({
  model: needed(text),
  embeddings: needed(vectors),
  usage: field(
    struct({
      tokens: count,
      total_tokens: count,
      unit_price: field(decimal),
      price_unit: field(decimal),
      total_price: field(decimal),
      currency: field(optionalText, given),
      latency: seconds,
    }),
  ),
});

export const TOKEN_COUNTS = struct({ num_tokens: needed(list(whole)) });

export const RANKING = struct({
  model: needed(text),
  docs: needed(list(struct({ index: count, text: field(optionalText, given), score: seconds }))),
});

/** A piece of audio: the bytes are pairs of hex digits, as the plugin wrote them. */
export const SPEECH = struct({ result: field(text), mime_type: omitted(text) });

export const VOICES = struct({ voices: needed(list(struct({ name: needed(text), value: needed(text) }))) });

export const TRANSCRIPT = struct({ result: field(text) });

export const VERDICT = struct({ result: field(flag) });

/** The credentials that the plugin returns replace the caller's own. */
export const CREDENTIALS_VERDICT = struct({ result: field(flag), credentials: field(map) });
