/** Parameters that a plugin describes at run time: those of a tool, and the options of a list. */
import {
  anything,
  field,
  flag,
  list,
  max,
  needed,
  number,
  omitted,
  oneOf,
  optionalText,
  pointer,
  struct,
  text,
  whole,
} from "../shape.ts";
import { listOrEmpty } from "./values.ts";

/** A text in up to four languages; empty ones are left out, except English. */
export const I18N = struct({
  en_US: needed(text, max(1023)),
  ja_JP: omitted(text, max(1023)),
  zh_Hans: omitted(text, max(1023)),
  pt_BR: omitted(text, max(1023)),
});

const OPTION = struct({ value: needed(text), label: field(I18N), icon: field(text) });

const PARAMETER = struct({
  name: needed(text, max(1023)),
  label: field(I18N),
  human_description: field(I18N),
  type: needed(text),
  scope: field(optionalText),
  form: needed(text, oneOf(["schema", "form", "llm"])),
  llm_description: field(text),
  required: field(flag),
  auto_generate: field(pointer(struct({ type: needed(text, oneOf(["prompt_instruction"])) }))),
  template: field(pointer(struct({ enabled: field(flag) }))),
  default: field(anything),
  min: field(pointer(number)),
  max: field(pointer(number)),
  multiple: field(flag),
  precision: field(pointer(whole)),
  options: field(list(OPTION)),
});

/** The rules of single parameters are not checked, as in the daemon: types and forms that Berth does not know pass. */
export const RUNTIME_PARAMETERS = struct({ parameters: field(listOrEmpty(PARAMETER, { dives: false })) });

export const OPTIONS = struct({ options: field(listOrEmpty(OPTION)) });
