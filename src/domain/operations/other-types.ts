import { z } from "zod";
import { bag, credentials, hex, name, type Operation, type OperationRow, operation } from "./operation.ts";

export const AGENT_OPERATIONS: readonly Operation[] = [
  operation(
    {
      type: "agent_strategy",
      action: "invoke_agent_strategy",
      kinds: ["agent_strategy"],
      summary: "Runs an agent strategy.",
    },
    {
      fields: { agent_strategy_provider: name, agent_strategy: name, agent_strategy_params: bag },
      providerField: "agent_strategy_provider",
      item: { field: "agent_strategy", code: "not_found" },
    },
  ),
];

/** Hooks use it, and `/v1` serves it; the daemon has no route for it. */
export const ENDPOINT_OPERATIONS: readonly Operation[] = [
  operation(
    {
      type: "endpoint",
      action: "invoke_endpoint",
      kinds: ["endpoint"],
      summary: "Passes an HTTP request to the plugin's endpoints.",
    },
    {
      fields: { user_id: z.string().optional(), settings: bag.optional(), raw_http_request: hex },
      defaults: { user_id: "", settings: {} },
      providerField: undefined,
    },
  ),
];

export const OAUTH_OPERATIONS: readonly Operation[] = [
  oauth("get_authorization_url", "Returns the URL where a user grants access.", {
    fields: {},
  }),
  oauth("get_credentials", "Turns a callback into credentials.", {
    fields: { raw_http_request: hex },
  }),
  oauth("refresh_credentials", "Refreshes credentials.", {
    fields: { credentials: bag },
  }),
];

function oauth(action: string, summary: string, { fields, ...row }: OperationRow): Operation {
  return operation(
    { type: "oauth", action, kinds: ["tool", "datasource", "trigger"], summary },
    { ...row, fields: { provider: name, redirect_uri: z.string(), system_credentials: bag, ...fields } },
  );
}

export const DYNAMIC_PARAMETER_OPERATIONS: readonly Operation[] = [
  operation(
    {
      type: "dynamic_parameter",
      action: "fetch_parameter_options",
      kinds: ["trigger", "tool"],
      summary: "Lists the options of a dynamic parameter.",
    },
    {
      fields: {
        provider: name,
        provider_action: name,
        parameter: name,
        credentials,
        credential_type: z.string().optional(),
      },
      defaults: { credentials: {}, credential_type: "unauthorized" },
    },
  ),
];
