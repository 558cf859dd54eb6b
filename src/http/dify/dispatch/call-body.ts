/** The body of a dispatched call: its tenant and user, and the data for the plugin. */
import { type Fault, toFault } from "../../../domain/fault.ts";
import type { TenantId } from "../../../domain/ids.ts";
import type { WireData } from "../../../domain/invocation.ts";
import type { JsonMap } from "../../../domain/json.ts";
import {
  type JsonSource,
  oneLine,
  parseWithSource,
  writeWithSource,
} from "../../../util/json/json-source.ts";
import { SENT } from "../../middleware/json-body.ts";
import { checked, jsonText } from "../bind.ts";
import type { Dispatched } from "../wire/operations/dispatched.ts";
import { field, map, named, needed, optionalText, Reading, type Shape, struct, text } from "../wire/shape.ts";

/** The body of a dispatched call, bound as the daemon binds it. */
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

/** Made once per route. */
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

/** An operation with the shape of its body. */
export interface DispatchedRoute {
  readonly operation: Dispatched;
  readonly shape: Shape<CallBody>;
}

/** A body that is ready to be sent to a plugin, or the reason why it is refused. */
export interface PreparedCall {
  /** From the body, where the path names no tenant. */
  readonly tenantId: string;
  /** Undefined where the body breaks a rule. */
  readonly wire: WireData | undefined;
  /** The error that names the broken fields. */
  readonly refusal: Fault | undefined;
}

export interface CallText {
  readonly body: Buffer;
  readonly contentType: string | undefined;
  /** From the path. */
  readonly tenantId: TenantId | undefined;
}

/**
 * A body that is not JSON, or not announced as JSON, counts as empty, and then the rules are checked. Throws for JSON
 * that cannot be accepted, whatever its content.
 */
export function prepareCall(route: DispatchedRoute, { body, contentType, tenantId }: CallText): PreparedCall {
  const { value, source } = isJson(contentType) ? readBody(body) : NO_BODY;
  const read = route.shape.read(value, new Reading());
  const call = tenantId === undefined ? read : { ...read, tenant_id: tenantId };
  try {
    const wire = wireData(route, call, source);
    return { tenantId: call.tenant_id, wire, refusal: undefined };
  } catch (error) {
    return { tenantId: call.tenant_id, wire: undefined, refusal: toFault(error) };
  }
}

const NO_BODY = { value: {}, source: undefined };

function readBody(body: Buffer): { readonly value: JsonMap; readonly source: JsonSource | undefined } {
  const found = jsonText(body, SENT);
  if (found?.isObject !== true) return NO_BODY;
  const text = body.toString();
  // only an unusual body pays for the slower parser
  const source = found.isRewritten ? parseWithSource(text) : undefined;
  return { value: (source?.value ?? JSON.parse(text)) as JsonMap, source };
}

/** Throws an error that names the fields that break a rule. */
function wireData({ shape, operation }: DispatchedRoute, call: CallBody, source?: JsonSource): WireData {
  const { tenant_id, user_id, data, context, ...about } = checked(shape, call);
  const { type, action, tenantField } = operation;
  // a plugin acts for the tenant of the request, whatever the body says
  const own = tenantField === undefined ? data : { ...data, [tenantField]: tenant_id };
  const text = oneLine(writeWithSource({ user_id, type, action, ...own }, source));
  const contextText = context === null ? undefined : oneLine(writeWithSource(context, source));
  return { form: "wire", userId: user_id, data: text, about: { ...about, context: contextText } };
}

function isJson(contentType: string | undefined): boolean {
  if (contentType === "application/json") return true;
  return contentType?.split(";", 1)[0]?.trim().toLowerCase() === "application/json";
}
