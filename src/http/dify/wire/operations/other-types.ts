import { field, map, named, needed, omitted, struct, text } from "../shape.ts";
import { type Dispatches, PROVIDER } from "./dispatch.ts";

export const AGENT_DISPATCH: Dispatches = {
  invoke_agent_strategy: {
    path: "agent_strategy/invoke",
    data: struct({
      agent_strategy_provider: needed(text),
      agent_strategy: needed(text),
      agent_strategy_params: field(map),
    }),
    chunk: "agent_message",
  },
};

const CLIENT = {
  ...PROVIDER,
  redirect_uri: named("RedirectURI", needed(text)),
  system_credentials: field(map),
};

export const OAUTH_DISPATCH: Dispatches = {
  get_authorization_url: {
    path: "oauth/get_authorization_url",
    data: struct(CLIENT),
    chunk: "authorization_url",
  },
  get_credentials: {
    path: "oauth/get_credentials",
    data: struct({ ...CLIENT, raw_http_request: needed(text) }),
    chunk: "oauth_credentials",
  },
  refresh_credentials: {
    path: "oauth/refresh_credentials",
    data: struct({ ...CLIENT, credentials: needed(map) }),
    chunk: "refreshed_credentials",
  },
};

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
