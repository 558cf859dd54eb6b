import { z } from "zod";
import { bag, hex, type Operation, operation } from "./operation.ts";

/** Asked of a plugin by its hooks; the daemon has no other way to it. */
export const ENDPOINT_OPERATIONS: readonly Operation[] = [
  operation(
    {
      ...{ type: "endpoint", action: "invoke_endpoint", kinds: ["endpoint"] },
      summary: "Hands an HTTP request to the plugin's endpoints.",
    },
    {
      fields: { user_id: z.string().optional(), settings: bag.optional(), raw_http_request: hex },
      defaults: { user_id: "", settings: {} },
      providerField: undefined,
    },
  ),
];
