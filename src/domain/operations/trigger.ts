import { z } from "zod";
import { CREDENTIALS, PROVIDER } from "../../http/dify/wire/operations/wire-fields.ts";
import { field, map, named, needed, struct, text } from "../../http/dify/wire/shape.ts";
import { bag, credentials, hex, name, type Operation, type OperationRow, operation } from "./operation.ts";

const RAW_REQUEST = { raw_http_request: named("RawHTTPRequest", needed(text)) };

const OF_SUBSCRIPTION = struct({ ...PROVIDER, subscription: needed(map), ...CREDENTIALS });

export const TRIGGER_OPERATIONS: readonly Operation[] = [
  trigger("validate_trigger_credentials", "Checks a trigger's credentials.", {
    fields: { credentials },
    defaults: { credentials: {} },
    dispatch: {
      path: "trigger/validate_credentials",
      data: struct({ ...PROVIDER, ...CREDENTIALS }),
      chunk: "verdict",
    },
  }),
  trigger("dispatch_trigger_event", "Which events an incoming request means.", {
    fields: {
      subscription: bag,
      credentials: bag.nullish(),
      credential_type: z.string().nullish(),
      raw_http_request: hex,
    },
    defaults: { credentials: null, credential_type: null },
    dispatch: {
      path: "trigger/dispatch_event",
      data: struct({ ...PROVIDER, subscription: needed(map), ...RAW_REQUEST, ...CREDENTIALS }),
      chunk: "dispatched_event",
    },
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
    dispatch: {
      path: "trigger/invoke_event",
      data: struct({
        ...PROVIDER,
        event: needed(text),
        ...RAW_REQUEST,
        parameters: field(map),
        subscription: needed(map),
        payload: field(map),
        ...CREDENTIALS,
      }),
      chunk: "event_variables",
    },
  }),
  trigger("subscribe_trigger", "Makes a subscription.", {
    fields: { credentials, credential_type: z.string(), endpoint: z.string(), parameters: bag.optional() },
    defaults: { credentials: {}, parameters: {} },
    dispatch: {
      path: "trigger/subscribe",
      data: struct({ ...PROVIDER, endpoint: needed(text), parameters: field(map), ...CREDENTIALS }),
      chunk: "subscription",
    },
  }),
  trigger("unsubscribe_trigger", "Ends a subscription.", {
    fields: { subscription: bag, credentials, credential_type: z.string() },
    defaults: { credentials: {} },
    dispatch: { path: "trigger/unsubscribe", data: OF_SUBSCRIPTION, chunk: "subscription" },
  }),
  trigger("refresh_trigger", "Renews a subscription.", {
    fields: { subscription: bag, credentials, credential_type: z.string() },
    defaults: { credentials: {} },
    dispatch: { path: "trigger/refresh", data: OF_SUBSCRIPTION, chunk: "subscription" },
  }),
];

function trigger(action: string, summary: string, row: OperationRow): Operation {
  return operation(
    { type: "trigger", action, kinds: ["trigger"], summary },
    { ...row, fields: { provider: name, ...row.fields } },
  );
}
