import { z } from "zod";
import { bag, credentials, hex, name, type Operation, type OperationRow, operation } from "./operation.ts";

export const TRIGGER_OPERATIONS: readonly Operation[] = [
  trigger("validate_trigger_credentials", "Checks a trigger's credentials.", {
    fields: { credentials },
    defaults: { credentials: {} },
  }),
  trigger("dispatch_trigger_event", "Turns an incoming request into events.", {
    fields: {
      subscription: bag,
      credentials: bag.nullish(),
      credential_type: z.string().nullish(),
      raw_http_request: hex,
    },
    defaults: { credentials: null, credential_type: null },
  }),
  trigger("invoke_trigger_event", "Turns an event into variables.", {
    fields: {
      event: name,
      credentials,
      credential_type: z.string().nullish(),
      subscription: bag,
      raw_http_request: hex,
      parameters: bag.optional(),
      payload: bag.optional(),
    },
    defaults: { credentials: {}, credential_type: null, parameters: {}, payload: {} },
    item: { field: "event", code: "not_found" },
  }),
  trigger("subscribe_trigger", "Creates a subscription.", {
    fields: { credentials, credential_type: z.string(), endpoint: z.string(), parameters: bag.optional() },
    defaults: { credentials: {}, parameters: {} },
  }),
  trigger("unsubscribe_trigger", "Ends a subscription.", {
    fields: { subscription: bag, credentials, credential_type: z.string() },
    defaults: { credentials: {} },
  }),
  trigger("refresh_trigger", "Renews a subscription.", {
    fields: { subscription: bag, credentials, credential_type: z.string() },
    defaults: { credentials: {} },
  }),
];

function trigger(action: string, summary: string, row: OperationRow): Operation {
  return operation(
    { type: "trigger", action, kinds: ["trigger"], summary },
    { ...row, fields: { provider: name, ...row.fields } },
  );
}
