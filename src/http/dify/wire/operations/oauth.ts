import { field, map, named, needed, struct, text } from "../shape.ts";
import type { Dispatches } from "./dispatch.ts";
import { PROVIDER } from "./wire-fields.ts";

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
