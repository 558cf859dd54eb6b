import { z } from "zod";
import { bag, hex, name, type Operation, type OperationRow, operation } from "./operation.ts";

export const OAUTH_OPERATIONS: readonly Operation[] = [
  oauth("get_authorization_url", "Where a user grants access.", {
    fields: {},
  }),
  oauth("get_credentials", "Turns a callback into credentials.", {
    fields: { raw_http_request: hex },
  }),
  oauth("refresh_credentials", "Refreshes credentials.", {
    fields: { credentials: bag },
  }),
];

function oauth(action: string, summary: string, { fields, ...row }: OperationRow): Operation {
  return operation(
    { type: "oauth", action, kinds: ["tool", "datasource", "trigger"], summary },
    { ...row, fields: { provider: name, redirect_uri: z.string(), system_credentials: bag, ...fields } },
  );
}
