import { field, map, needed, struct, text } from "../shape.ts";
import { CREDENTIALS, type Dispatches, PROVIDER } from "./dispatch.ts";

const NAMED_FIELDS = { ...PROVIDER, tool: needed(text) };

export const TOOL_DISPATCH: Dispatches = {
  invoke_tool: {
    path: "tool/invoke",
    data: struct({ ...NAMED_FIELDS, tool_parameters: field(map), ...CREDENTIALS }),
    chunk: "message",
  },
  validate_tool_credentials: {
    path: "tool/validate_credentials",
    data: struct({ ...PROVIDER, credentials: field(map) }),
    chunk: "verdict",
  },
  get_tool_runtime_parameters: {
    path: "tool/get_runtime_parameters",
    data: struct({ ...NAMED_FIELDS, credentials: field(map) }),
    chunk: "runtime_parameters",
  },
};
