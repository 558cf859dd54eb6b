import { z } from "zod";
import { CREDENTIALS, PROVIDER } from "../../http/dify/wire/operations/wire-fields.ts";
import { field, map, needed, struct, text } from "../../http/dify/wire/shape.ts";
import { bag, credentials, name, type Operation, type OperationRow, operation } from "./operation.ts";

const NAMED = {
  item: { field: "tool", code: "tool_not_found" },
  aliases: { tool_name: "tool" },
} as const;

const toolName = { tool: name.optional(), tool_name: name.optional() };

const NAMED_FIELDS = { ...PROVIDER, tool: needed(text) };

export const TOOL_OPERATIONS: readonly Operation[] = [
  tool("invoke_tool", "Runs a tool; items are its messages.", {
    ...NAMED,
    fields: {
      ...toolName,
      credential_type: z.enum(["api-key", "oauth2", "unauthorized"]).optional(),
      tool_parameters: bag.optional(),
    },
    defaults: { tool_parameters: {} },
    dispatch: {
      path: "tool/invoke",
      data: struct({ ...NAMED_FIELDS, tool_parameters: field(map), ...CREDENTIALS }),
      chunk: "message",
    },
  }),
  tool("validate_tool_credentials", "Checks a tool provider's credentials.", {
    fields: {},
    dispatch: {
      path: "tool/validate_credentials",
      data: struct({ ...PROVIDER, credentials: field(map) }),
      chunk: "verdict",
    },
  }),
  tool("get_tool_runtime_parameters", "A tool's parameters that depend on credentials.", {
    ...NAMED,
    fields: toolName,
    dispatch: {
      path: "tool/get_runtime_parameters",
      data: struct({ ...NAMED_FIELDS, credentials: field(map) }),
      chunk: "runtime_parameters",
    },
  }),
];

function tool(action: string, summary: string, row: OperationRow): Operation {
  return operation(
    { type: "tool", action, kinds: ["tool"], summary },
    {
      ...row,
      fields: { provider: name, credentials, ...row.fields },
      defaults: { credentials: {}, ...row.defaults },
    },
  );
}
