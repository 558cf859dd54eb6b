import { z } from "zod";
import { bag, hex, type Operation, operation } from "./operation.ts";

/** Only hooks use it; the daemon has no route for it. */
export const ENDPOINT_OPERATIONS: readonly Operation[] = [
  operation(
    {
      ...{ type: "endpoint", action: "invoke_endpoint", kinds: ["endpoint"] },
      summary: "Passes an HTTP request to the plugin's endpoints.",
    },
    {
      fields: { user_id: z.string().optional(), settings: bag.optional(), raw_http_request: hex },
      defaults: { user_id: "", settings: {} },
      providerField: undefined,
    },
  ),
];
