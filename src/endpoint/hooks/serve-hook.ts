/**
 * Turns a request to a hook into a call of the plugin behind it. The checks run in the order in which callers of the
 * daemon know them; each has its own code, so that a door can choose its words.
 */
import { Fault } from "../../domain/fault.ts";
import type { Invocation, InvocationSink } from "../../domain/invocation.ts";
import type { JsonMap } from "../../domain/json.ts";
import type { Operation } from "../../domain/operations/operation.ts";
import { indexOperations } from "../../domain/operations/operations.ts";
import { isGranted, notGranted, type PermissionDefault } from "../../domain/permission.ts";
import type { Invoker } from "../../invocation/invoke.ts";
import type { EndpointRecord } from "../../store/contracts/endpoints.ts";
import type { EndpointDirectory, FoundEndpoint } from "../endpoint-directory.ts";

export interface HooksOptions {
  readonly endpoints: Pick<EndpointDirectory, "find">;
  readonly invoker: Pick<Invoker, "invoke" | "admit">;
  readonly settings: { readonly permissionDefault: PermissionDefault };
}

/** An endpoint that accepts requests now. */
export interface OpenHook {
  readonly endpoint: EndpointRecord;
  /** Of its package. */
  readonly identifier: string;
  /** Resolves when the request is on its way to the plugin. `raw`: the request as bytes of HTTP/1.1. */
  send(call: HookCall, sink: InvocationSink): Promise<Invocation>;
}

/** One request to a hook. */
export interface HookCall {
  readonly raw: Buffer;
  readonly requestId: string;
  /** Ends the wait for the settings. */
  readonly signal: AbortSignal;
}

/** The use case of hooks: from a hook id to a call of its plugin. */
export interface Hooks {
  /**
   * Throws `endpoint_not_found`; the fault with which the invoker refuses a call to its plugin; `endpoint_disabled`;
   * `operation_not_found` where the installed version of the plugin has no endpoints; `permission_denied` where the
   * operator does not grant them.
   */
  open(hookId: string): Promise<OpenHook>;
}

export function createHooks({ endpoints, invoker, settings: { permissionDefault } }: HooksOptions): Hooks {
  const operation = indexOperations()("endpoint", "invoke_endpoint");
  if (operation === undefined) throw new Error("no operation serves hooks");
  const find = async (hookId: string): Promise<FoundEndpoint> => {
    const found = await endpoints.find(hookId);
    if (found !== undefined) return found;
    throw new Fault("endpoint_not_found", "There is no such endpoint.");
  };
  return {
    async open(hookId) {
      let found = await find(hookId);
      const admission = invoker.admit(found.endpoint);
      if (admission !== undefined) {
        await admission;
        found = await find(hookId);
      }
      const { endpoint, installed } = found;
      if (!endpoint.enabled) throw new Fault("endpoint_disabled", "The endpoint is disabled.");
      if (installed?.catalog.endpoint === undefined)
        throw new Fault(
          "operation_not_found",
          `The installed version of ${endpoint.pluginId} has no endpoints.`,
        );
      const { permissions } = installed.installation;
      if (!isGranted("endpoint", permissions, permissionDefault)) throw notGranted("A hook", "endpoint");
      const { openSettings } = found;
      return {
        endpoint,
        identifier: installed.catalog.identifier,
        async send(call, sink) {
          const settings = await openSettings(call.signal);
          return invoker.invoke(request(endpoint, { operation, settings, call }), sink);
        },
      };
    },
  };
}

function request(
  { id, tenantId, pluginId }: EndpointRecord,
  { operation, settings, call }: { operation: Operation; settings: JsonMap; call: HookCall },
) {
  const { type, action } = operation;
  const head = JSON.stringify({ user_id: "", type, action, settings });
  // hex needs no escaping in JSON, and may be long
  const data = `${head.slice(0, -1)},"raw_http_request":"${call.raw.toString("hex")}"}`;
  return {
    tenantId,
    pluginId,
    operation,
    requestId: call.requestId,
    content: { form: "wire", userId: "", data, about: { endpoint_id: id } },
  } as const;
}
