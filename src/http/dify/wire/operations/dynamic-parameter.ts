import { map, needed, omitted, struct, text } from "../shape.ts";
import type { Dispatches } from "./dispatch.ts";
import { PROVIDER } from "./wire-fields.ts";

export const DYNAMIC_PARAMETER_DISPATCH: Dispatches = {
  fetch_parameter_options: {
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
};
