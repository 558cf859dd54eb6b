import { z } from "zod";
import { PROVIDER } from "../../http/dify/wire/operations/wire-fields.ts";
import { field, map, named, needed, struct, text } from "../../http/dify/wire/shape.ts";
import { bag, hex, name, type Operation, type OperationRow, operation } from "./operation.ts";

const CLIENT = {
  ...PROVIDER,
  redirect_uri: named("RedirectURI", needed(text)),
  system_credentials: field(map),
};

export const OAUTH_OPERATIONS: readonly Operation[] = [
  oauth("get_authorization_url", "Where a user grants access.", {
    fields: {},
    dispatch: { path: "oauth/get_authorization_url", data: struct(CLIENT), chunk: "authorization_url" },
  }),
  oauth("get_credentials", "Turns a callback into credentials.", {
    fields: { raw_http_request: hex },
    dispatch: {
      path: "oauth/get_credentials",
      data: struct({ ...CLIENT, raw_http_request: needed(text) }),
      chunk: "oauth_credentials",
    },
  }),
  oauth("refresh_credentials", "Refreshes credentials.", {
    fields: { credentials: bag },
    dispatch: {
      path: "oauth/refresh_credentials",
      data: struct({ ...CLIENT, credentials: needed(map) }),
      chunk: "refreshed_credentials",
    },
  }),
];

function oauth(action: string, summary: string, { fields, ...row }: OperationRow): Operation {
  return operation(
    { type: "oauth", action, kinds: ["tool", "datasource", "trigger"], summary },
    { ...row, fields: { provider: name, redirect_uri: z.string(), system_credentials: bag, ...fields } },
  );
}
