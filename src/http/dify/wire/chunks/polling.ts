import {
  anything,
  needed,
  omitted,
  oneOf,
  pointer,
  type Shape,
  struct,
  type TypeOf,
  text,
  unlessNull,
  whole,
} from "../shape.ts";
import { filledMap } from "./values.ts";

const FIELDS = struct({
  status: needed(text, oneOf(["running", "succeeded", "failed"])),
  plugin_state: omitted(filledMap),
  result: unlessNull(anything),
  error: omitted(text),
  next_check_after_seconds: unlessNull(pointer(whole)),
  expires_after_seconds: unlessNull(pointer(whole)),
  max_attempts: unlessNull(pointer(whole)),
});

/**
 * The state of a polled call. Each status must come with its content: a state to resume from, a result, or a reason.
 */
export const POLLED: Shape<TypeOf<typeof FIELDS>> = {
  zero: FIELDS.zero,
  read: FIELDS.read,
  check(value, path, broken) {
    FIELDS.check?.(value, path, broken);
    if (value.status === "running" && value.plugin_state === undefined)
      broken.push(missing("PluginState", "required_for_running"));
    if (value.status === "succeeded" && value.result === undefined)
      broken.push(missing("Result", "required_for_succeeded"));
    if (value.status === "failed" && (value.error ?? "").trim() === "")
      broken.push(missing("Error", "required_for_failed"));
  },
};

function missing(name: string, tag: string): string {
  return `Key: '${name}' Error:Field validation for '${name}' failed on the '${tag}' tag`;
}
