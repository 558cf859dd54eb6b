/**
 * The calls of plugins, one route per operation, below a tenant's path and, for callers that have an identifier, below
 * `/v2/invoke`. This is the warm path: no middleware, the body read from Node's request, the answer written to Node's
 * response, one wide event (that of the session).
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import type { Context } from "hono";
import { Fault, toFault } from "../../../domain/fault.ts";
import { TenantId } from "../../../domain/ids.ts";
import type { InvocationRequest, WireData } from "../../../domain/invocation.ts";
import { pluginIdOf } from "../../../domain/package-ref.ts";
import type { Invoker, PluginName } from "../../../invocation/invoke.ts";
import type { BodyReader } from "../../bodies/body-reader.ts";
import { type HttpEnv, requestId } from "../../env.ts";
import { checkContentLength, readIncoming } from "../../middleware/body.ts";
import { type DifyDoor, tenantOf } from "../door.ts";
import { failureResponse } from "../envelope.ts";
import { type DaemonError, refusal, toDaemonError } from "../errors.ts";
import { identifierOfHeader } from "../inputs.ts";
import { CHUNKS } from "../wire/chunks/chunks.ts";
import { DISPATCHED, type Dispatched } from "../wire/operations/dispatched.ts";
import type { PreparedCall } from "./call-body.ts";
import { refusedCall, refusedVersion } from "./call-failure.ts";
import { PolledCaller, StreamCaller } from "./callers.ts";
import { type UnknownTypeLog, unknownTypeLog } from "./unknown-types.ts";

export interface DispatchDeps {
  readonly invoker: Pick<Invoker, "invoke" | "admit">;
  readonly bodies: Pick<BodyReader, "readDispatched">;
  readonly settings: { readonly invokeBytesMax: number };
}

export function addDispatch(door: DifyDoor, deps: DispatchDeps): void {
  const reportType = unknownTypeLog(door.options.log);
  for (const operation of DISPATCHED) {
    const { path, isPolled } = operation.dispatch;
    const call = { door, deps, operation, reportType };
    add(call, `/plugin/:tenant_id/dispatch/${path}`, callOfInstalled);
    if (isPolled !== true) add(call, `/v2/invoke/dispatch/${path}`, callOfVersion);
  }
}

interface Route {
  readonly door: DifyDoor;
  readonly deps: DispatchDeps;
  readonly operation: Dispatched;
  readonly reportType: UnknownTypeLog;
}

interface Exchange {
  readonly incoming: IncomingMessage;
  readonly outgoing: ServerResponse;
  readonly tenant: string | undefined;
  readonly requestId: string;
}

function add(route: Route, path: string, handle: (route: Route, exchange: Exchange) => Promise<void>): void {
  const { door } = route;
  const gate = "key";
  door.on({ method: "POST", path, gate }, async (c) => {
    const { incoming, outgoing } = c.env;
    const id = requestId(incoming === undefined ? undefined : headerOf(incoming, "x-request-id"));
    try {
      if (incoming === undefined || outgoing === undefined)
        throw new Error("the dispatch routes need Node's own server");
      door.openGate(gate, (name) => headerOf(incoming, name));
      await handle(route, { incoming, outgoing, tenant: c.req.param("tenant_id"), requestId: id });
      return RESPONSE_ALREADY_SENT;
    } catch (error) {
      return refuse(door, c, { error, id });
    }
  });
}

/** A request that never became a call has no wide event yet; this logs one. */
function refuse(
  door: DifyDoor,
  c: Context<HttpEnv>,
  { error, id }: { readonly error: unknown; readonly id: string },
): Response {
  const fault = toFault(error);
  const daemonError = toDaemonError(fault);
  const answer = failureResponse(daemonError, fault.rule.status);
  answer.headers.set("x-request-id", id);
  const isOurs = fault.code === "internal" && fault.cause !== undefined;
  door.options.log[isOurs ? "error" : "info"]({
    op: "http.request",
    ok: false,
    code: fault.code,
    method: "POST",
    path: c.req.path,
    status: answer.status,
    request_id: id,
    ...(isOurs && { err: fault }),
  });
  return answer;
}

function headerOf({ headers }: IncomingMessage, name: string): string | undefined {
  const value = headers[name];
  return typeof value === "string" ? value : undefined;
}

/** A call by tenant and plugin: the installed version answers. */
async function callOfInstalled(route: Route, exchange: Exchange): Promise<void> {
  const { incoming, tenant } = exchange;
  const pluginId = headerOf(incoming, "x-plugin-id");
  if (pluginId === undefined || pluginId === "")
    throw refusal("PluginDaemonBadRequestError", "plugin_id is required", 400);
  const tenantId = tenantOf(tenant, 500);
  const call = await readCall(route, incoming, tenantId);
  const name = { tenantId, pluginId };
  await admitted(route, exchange, { name, toError: refusedCall });
  start(route, exchange, { ...name, content: wireOf(call) });
}

/** A call by identifier, for the tenant that the body names: the tenant must run this version. */
async function callOfVersion(route: Route, exchange: Exchange): Promise<void> {
  const { incoming } = exchange;
  const identifier = identifierOfHeader(headerOf(incoming, "x-plugin-unique-identifier"));
  const call = await readCall(route, incoming, undefined);
  const tenantId = TenantId.safeParse(call.tenantId).data;
  // without a tenant no plugin can be found, so the body's rules say what is missing
  if (tenantId === undefined) throw call.refusal ?? refusal("PluginDaemonBadRequestError", NO_TENANT, 400);
  const name = { tenantId, pluginId: pluginIdOf(identifier) };
  const toError = (fault: Fault) => refusedVersion(fault, identifier);
  await admitted(route, exchange, { name: { ...name, identifier }, toError });
  start(route, exchange, { ...name, content: wireOf(call) });
}

const NO_TENANT = "Key: 'TenantId' Error:Field validation for 'TenantId' failed on the 'uuid' tag";

function wireOf({ wire, refusal: broken }: PreparedCall): WireData {
  if (wire === undefined) throw broken ?? new Error("a call is neither prepared nor refused");
  return wire;
}

async function readCall(
  route: Route,
  incoming: IncomingMessage,
  tenantId: TenantId | undefined,
): Promise<PreparedCall> {
  const { headers } = incoming;
  const { invokeBytesMax } = route.deps.settings;
  checkContentLength(headers["content-length"], invokeBytesMax);
  const body = await readIncoming(incoming, invokeBytesMax);
  const { type, action } = route.operation;
  const work = { type, action, contentType: headers["content-type"], tenantId };
  return await route.deps.bodies.readDispatched(work, body);
}

/** Runs before the body's rules: a missing plugin is reported first. */
async function admitted(
  { deps }: Route,
  { outgoing }: Exchange,
  { name, toError }: { readonly name: PluginName; readonly toError: (fault: Fault) => DaemonError },
): Promise<void> {
  const leaving = new AbortController();
  const waiting = deps.invoker.admit(name, leaving.signal);
  if (waiting === undefined) return;
  const leave = () => leaving.abort(new Fault("cancelled", "The caller has left."));
  outgoing.once("close", leave);
  try {
    await waiting;
  } catch (error) {
    const fault = toFault(error);
    const { type, message, status } = toError(fault);
    throw new Fault(fault.code, message, { context: { errorType: type, status }, cause: fault });
  } finally {
    outgoing.off("close", leave);
  }
}

function start(
  { deps, operation, reportType }: Route,
  { outgoing, requestId }: Exchange,
  call: Pick<InvocationRequest, "tenantId" | "pluginId" | "content">,
): void {
  // a caller that left while it waited needs no answer
  if (outgoing.destroyed) return;
  const { chunk, isPolled } = operation.dispatch;
  const request = { ...call, operation, requestId };
  const chunks = CHUNKS[chunk].open((type) => reportType(request, type));
  const options = { response: outgoing, requestId, chunks };
  const sink = isPolled === true ? new PolledCaller(options) : new StreamCaller(options);
  const invocation = deps.invoker.invoke(request, sink);
  // after the end this does nothing
  outgoing.on("close", () => invocation.detach());
}
