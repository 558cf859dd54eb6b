import { z } from "zod";
import { bag, credentials, name, type Operation, type OperationRow, operation } from "./operation.ts";

const NAMED = {
  item: { field: "tool", code: "tool_not_found" },
  aliases: { tool_name: "tool" },
} as const;

const toolName = { tool: name.optional(), tool_name: name.optional() };

export const TOOL_OPERATIONS: readonly Operation[] = [
  tool("invoke_tool", "Runs a tool; items are its messages.", {
    ...NAMED,
    fields: {
      ...toolName,
      credential_type: z
        .string()
        .optional()
        .describe("api-key, oauth2, unauthorized, or another that the plugin's SDK knows."),
      tool_parameters: bag.optional(),
    },
    defaults: { tool_parameters: {} },
  }),
  tool("validate_tool_credentials", "Checks a tool provider's credentials.", {
    fields: {},
  }),
  tool("get_tool_runtime_parameters", "Returns the parameters of a tool that depend on credentials.", {
    ...NAMED,
    fields: toolName,
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
