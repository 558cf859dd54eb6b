import { field, map, named, needed, struct, text } from "../shape.ts";
import { CREDENTIALS, type Dispatches, PROVIDER } from "./dispatch.ts";

const RAW_REQUEST = { raw_http_request: named("RawHTTPRequest", needed(text)) };

const OF_SUBSCRIPTION = struct({ ...PROVIDER, subscription: needed(map), ...CREDENTIALS });

export const TRIGGER_DISPATCH: Dispatches = {
  validate_trigger_credentials: {
    path: "trigger/validate_credentials",
    data: struct({ ...PROVIDER, ...CREDENTIALS }),
    chunk: "verdict",
  },
  dispatch_trigger_event: {
    path: "trigger/dispatch_event",
    data: struct({ ...PROVIDER, subscription: needed(map), ...RAW_REQUEST, ...CREDENTIALS }),
    chunk: "dispatched_event",
  },
  invoke_trigger_event: {
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
  subscribe_trigger: {
    path: "trigger/subscribe",
    data: struct({ ...PROVIDER, endpoint: needed(text), parameters: field(map), ...CREDENTIALS }),
    chunk: "subscription",
  },
  unsubscribe_trigger: { path: "trigger/unsubscribe", data: OF_SUBSCRIPTION, chunk: "subscription" },
  refresh_trigger: { path: "trigger/refresh", data: OF_SUBSCRIPTION, chunk: "subscription" },
};
