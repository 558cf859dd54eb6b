/** The body of a dispatched call: whose it is, and what the plugin gets of it. */
import type { WireData } from "../../../domain/invocation.ts";
import type { Dispatch, Operation } from "../../../domain/operations/operation.ts";
import {
  field,
  type JsonMap,
  map,
  named,
  needed,
  optionalText,
  Reading,
  type Shape,
  struct,
  text,
} from "../../../domain/shape.ts";
import { checked, parsed } from "../bind.ts";

/** An operation that has a route. */
export type Dispatched = Operation & { readonly dispatch: Dispatch };

export interface CallBody {
  readonly tenant_id: string;
  readonly user_id: string;
  readonly conversation_id: string | null;
  readonly message_id: string | null;
  readonly app_id: string | null;
  readonly endpoint_id: string | null;
  readonly context: JsonMap | null;
  readonly data: JsonMap;
}

/** Made once for each route. */
export function callShape({ dispatch }: Dispatched): Shape<CallBody> {
  return struct({
    tenant_id: named("TenantId", needed(text)),
    user_id: field(text),
    conversation_id: field(optionalText),
    message_id: field(optionalText),
    app_id: field(optionalText),
    endpoint_id: field(optionalText),
    context: field(map),
    data: field(dispatch.data),
  });
}

/** Whatever is no JSON, or not said to be, is as if it were empty; the rules come later. */
export function readCall(
  shape: Shape<CallBody>,
  { body, contentType }: { readonly body: string; readonly contentType: string | undefined },
): CallBody {
  return shape.read(isJson(contentType) ? parsed(body) : {}, new Reading());
}

/** Throws what names the fields that break a rule. */
export function wireData(shape: Shape<CallBody>, operation: Dispatched, call: CallBody): WireData {
  const { tenant_id, user_id, data, ...about } = checked(shape, call);
  const { type, action, tenantField } = operation;
  // a plugin acts for the tenant that is asked for, whatever the body calls it
  const own = tenantField === undefined ? data : { ...data, [tenantField]: tenant_id };
  const text = JSON.stringify({ user_id, type, action, ...own });
  return { form: "wire", userId: user_id, data: text, about };
}

function isJson(contentType: string | undefined): boolean {
  if (contentType === "application/json") return true;
  return contentType?.split(";", 1)[0]?.trim().toLowerCase() === "application/json";
}
