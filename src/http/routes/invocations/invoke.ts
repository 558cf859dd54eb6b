/**
 * The invoke routes. They are the warm path and therefore separate: no middleware, the body read from Node's request,
 * the answer written to Node's response, one wide event (that of the session).
 */
import type { ServerResponse } from "node:http";
import { RESPONSE_ALREADY_SENT } from "@hono/node-server/utils/response";
import type { Context } from "hono";
import { Fault, invalidInput, toFault } from "../../../domain/fault.ts";
import { PluginId, TenantId } from "../../../domain/ids.ts";
import { parseInput } from "../../../domain/input.ts";
import type { Invocation, InvocationRequest } from "../../../domain/invocation.ts";
import type { Operation } from "../../../domain/operations/operation.ts";
import { indexOperations, OPERATIONS } from "../../../domain/operations/operations.ts";
import type { CredentialSource } from "../../../invocation/credential-source.ts";
import type { Invoker } from "../../../invocation/invoke.ts";
import { faultResponse } from "../../answers/fault-response.ts";
import { type PingHub, wantsJson } from "../../answers/sse.ts";
import type { BodyReader } from "../../bodies/body-reader.ts";
import { type HttpEnv, requestId } from "../../env.ts";
import { authenticate, authorize } from "../../middleware/authenticate.ts";
import { checkContentLength, checkContentType, readIncoming } from "../../middleware/body.ts";
import { honoPattern, type Routes } from "../../route.ts";
import { DocumentCaller, EventCaller } from "./callers.ts";
import { documentInvoke, INVOKE_ACCESS } from "./document.ts";
import { withKeptCredentials } from "./kept-credentials.ts";

export interface InvokeSettings {
  /** Bytes of the body of a call. */
  readonly invokeBytesMax: number;
  /** Bytes of an answer as one JSON document. */
  readonly documentBytesMax: number;
}

export interface InvokeDeps {
  readonly invoker: Pick<Invoker, "invoke" | "admit" | "find">;
  readonly credentialSource: CredentialSource;
  readonly pings: PingHub;
  readonly bodies: Pick<BodyReader, "readFields">;
  readonly settings: InvokeSettings;
}

const PLUGIN_PATH = "/v1/tenants/{tenant}/plugins/{author}/{name}";

/** Short names under which platforms call these two. */
const SHORT_FORMS: Readonly<Record<string, { type: string; action: string }>> = {
  invoke_tool: { type: "tool", action: "invoke_tool" },
  invoke_llm: { type: "model", action: "invoke_llm" },
};

export function addInvoke(routes: Routes, deps: InvokeDeps): void {
  const find = indexOperations();
  const handler = (pick: (c: Context<HttpEnv>) => Operation) => (c: Context<HttpEnv>) =>
    handle(c, pick, routes, deps);
  const fromPath = (c: Context<HttpEnv>) => {
    const [type, action] = [c.req.param("type") ?? "", c.req.param("action") ?? ""];
    return find(type, action) ?? unknownOperation(type, action);
  };
  routes.on("post", honoPattern(`${PLUGIN_PATH}/invoke/{type}/{action}`), handler(fromPath));
  for (const operation of OPERATIONS) {
    const { type, action } = operation;
    const path = `${PLUGIN_PATH}/invoke/${type}/${action}`;
    documentInvoke(routes, { name: `${type}_${action}`, path }, operation);
  }
  for (const [name, { type, action }] of Object.entries(SHORT_FORMS)) {
    const operation = find(type, action) ?? unknownOperation(type, action);
    routes.on(
      "post",
      honoPattern(`${PLUGIN_PATH}/${name}`),
      handler(() => operation),
    );
    documentInvoke(routes, { name, path: `${PLUGIN_PATH}/${name}` }, operation);
  }
}

async function handle(
  c: Context<HttpEnv>,
  pick: (c: Context<HttpEnv>) => Operation,
  routes: Routes,
  deps: InvokeDeps,
): Promise<Response> {
  const id = requestId(c.req.header("x-request-id"));
  try {
    const { incoming, outgoing } = c.env;
    if (incoming === undefined || outgoing === undefined)
      throw new Error("the invoke route needs Node's own server");
    const { headers } = incoming;
    const principal = authenticate(routes.options.keyring, headers.authorization);
    const tenantId = parseInput(TenantId, c.req.param("tenant"), "tenant");
    authorize(principal, INVOKE_ACCESS, tenantId);
    const pluginId = parseInput(PluginId, `${c.req.param("author")}/${c.req.param("name")}`, "plugin");
    const operation = pick(c);
    checkContentType(headers["content-type"], ["application/json"]);
    checkContentLength(headers["content-length"], deps.settings.invokeBytesMax);
    const body = await readIncoming(incoming, deps.settings.invokeBytesMax);
    const sent = await deps.bodies.readFields(operation, body, tenantId);
    const content =
      sent.fields["credential"] === undefined
        ? sent
        : await withKeptCredentials(
            { ...deps, credentials: deps.credentialSource },
            { tenantId, pluginId, operation },
            sent,
          );
    // the wait for kept credentials can be long
    if (outgoing.destroyed) return RESPONSE_ALREADY_SENT;
    const timeoutMs = callerTimeout(headers["x-timeout-ms"], content.fields["timeout_ms"]);
    const request = { tenantId, pluginId, operation, content, requestId: id };
    start(timeoutMs === undefined ? request : { ...request, timeoutMs }, outgoing, headers.accept, deps);
    return RESPONSE_ALREADY_SENT;
  } catch (error) {
    return refuse(c, id, routes, toFault(error));
  }
}

function start(
  request: InvocationRequest,
  response: ServerResponse,
  accept: string | undefined,
  { invoker, pings, settings }: InvokeDeps,
): void {
  const options = { response, requestId: request.requestId };
  let invocation: Invocation | undefined;
  if (wantsJson(accept)) {
    const caller = new DocumentCaller({ ...options, bytesMax: settings.documentBytesMax }, () => undefined);
    invocation = invoker.invoke(request, caller);
  } else {
    const caller = new EventCaller(options, () => pings.remove(caller));
    pings.add(caller);
    invocation = invoker.invoke(request, caller);
  }
  // after the end this does nothing
  response.on("close", () => invocation.detach());
}

/** Header and field mean the same; the shorter time applies. */
function callerTimeout(header: string | string[] | undefined, field: unknown): number | undefined {
  const fromField = typeof field === "number" && field >= 1 ? field : undefined;
  if (header === undefined) return fromField;
  if (typeof header !== "string" || !/^[1-9]\d{0,9}$/.test(header)) {
    throw invalidInput("X-Timeout-Ms", header, "a whole number of milliseconds, 1 or more");
  }
  return Math.min(Number(header), fromField ?? Number.POSITIVE_INFINITY);
}

function unknownOperation(type: string, action: string): never {
  const ofType = OPERATIONS.filter((operation) => operation.type === type);
  const accepted =
    ofType.length === 0
      ? [...new Set(OPERATIONS.map((operation) => operation.type))]
      : ofType.map((operation) => operation.action);
  const [field, value] = ofType.length === 0 ? ["type", type] : ["action", action];
  throw new Fault(
    "operation_not_found",
    `There is no operation ${type}/${action}; ${field} is one of ${accepted.join(", ")}.`,
    {
      details: { field, value, accepted },
    },
  );
}

/** A request that never became a call has no wide event yet; this logs one. */
function refuse(c: Context<HttpEnv>, id: string, routes: Routes, fault: Fault): Response {
  routes.options.log[fault.rule.log]({
    op: "http.request",
    ok: false,
    code: fault.code,
    method: "post",
    path: c.req.path,
    status: fault.rule.status,
    request_id: id,
    ...(fault.rule.status >= 500 && { err: fault }),
  });
  return faultResponse(fault, id);
}
