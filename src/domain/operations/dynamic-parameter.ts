import { z } from "zod";
import { credentials, name, type Operation, operation } from "./operation.ts";

export const DYNAMIC_PARAMETER_OPERATIONS: readonly Operation[] = [
  operation(
    {
      ...{ type: "dynamic_parameter", action: "fetch_parameter_options", kinds: ["trigger", "tool"] },
      summary: "Options of a dynamic parameter.",
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
