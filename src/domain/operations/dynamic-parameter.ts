import { z } from "zod";
import { PROVIDER } from "../../http/dify/wire/operations/wire-fields.ts";
import { map, needed, omitted, struct, text } from "../../http/dify/wire/shape.ts";
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
      dispatch: {
        path: "dynamic_select/fetch_parameter_options",
        data: struct({
          credentials: needed(map),
          credential_type: omitted(text),
          ...PROVIDER,
          provider_action: needed(text),
          parameter: needed(text),
        }),
        chunk: "options",
      },
    },
  ),
];
