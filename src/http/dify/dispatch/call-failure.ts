/**
 * How a call that failed is told. What never reached the plugin is an answer with a status of its own; what happened
 * afterwards is the last event of a stream that began with 200.
 *
 * Clients take two texts for a state that passes: `no available node` and `plugin runtime not found`. They stand in
 * front of what may be asked again as it is, and nowhere else.
 */
import type { Fault, FaultCode } from "../../../domain/fault.ts";
import { jsonText } from "../envelope.ts";
import { type DaemonError, type ErrorType, KILLED, NOT_RUNNING, toDaemonError } from "../errors.ts";

/** With a status: an answer. Without: an event of the stream. */
export type CallFailure = DaemonError;

const INTERNAL = "PluginDaemonInternalServerError";

/** States of an Installation or a Pool that end by somebody's doing only. */
const LASTING: readonly unknown[] = ["crash_loop", "failed", "disabled"];

/** The plugin was never asked. */
export function refusedCall(fault: Fault): CallFailure {
  switch (fault.code) {
    case "installation_not_found":
      return failure("PluginNotFoundError", "plugin not found", 404);
    case "plugin_disabled":
      return failure(INTERNAL, notRunning(fault), 404);
    case "plugin_not_ready":
      return notReady(fault);
    case "plugin_timeout":
      return timedOut(fault);
    case "frame_too_large":
      return failure(INTERNAL, `${fault.message}\nfailed to write request`);
    default:
      return fault.rule.passing
        ? failure(INTERNAL, `no available node: ${fault.message}`, fault.rule.status)
        : { ...toDaemonError(fault), status: toDaemonError(fault).status ?? fault.rule.status };
  }
}

/** The plugin has been asked, and perhaps has answered already. */
export function brokenCall(fault: Fault): CallFailure {
  const { code, details, message } = fault;
  if (code === "plugin_timeout") return timedOut(fault);
  if (code === "shutting_down") return failure(INTERNAL, `no available node: ${message}`);
  if (code === "plugin_error") {
    const { args, error_type } = details;
    return invokeError({ args, error_type, message });
  }
  const errorType = INNER_TYPES[code];
  if (errorType === undefined) return failure(INTERNAL, message);
  return invokeError({ args: details, error_type: errorType, message });
}

/** One that is told under its identifier: whatever else the Tenant has, this is not running. */
export function refusedVersion(fault: Fault, identifier: string): CallFailure {
  if (fault.code !== "installation_not_found") return refusedCall(fault);
  return failure(INTERNAL, `${NOT_RUNNING}: the tenant does not have ${identifier}.`, 404);
}

/** What the plugin's part in a failure is called inside of `PluginInvokeError`. */
const INNER_TYPES: Readonly<Partial<Record<FaultCode, string>>> = {
  plugin_crashed: "ConnectionClosedError",
  plugin_unhealthy: "plugin_unhealthy",
  link_lost: "ConnectionClosedError",
  plugin_protocol: "plugin_protocol",
  frame_too_large: "frame_too_large",
  slow_caller: "slow_caller",
};

function notReady(fault: Fault): CallFailure {
  const { state } = fault.details;
  // uninstalled as far as the platform is concerned
  if (state === "removing") return failure("PluginNotFoundError", "plugin not found", 404);
  if (LASTING.includes(state)) return failure(INTERNAL, notRunning(fault), 404);
  return failure(INTERNAL, `${NOT_RUNNING}: ${fault.message}`, 404);
}

function notRunning({ message }: Fault): string {
  return `the plugin is not running and will not start by itself: ${message}`;
}

/** The daemon's one clock is ours over all; the others say which they were. */
function timedOut({ details, message }: Fault): CallFailure {
  return failure(INTERNAL, details["clock"] === "total" ? KILLED : `${KILLED}: ${message}`);
}

/** Always a JSON object, whoever made the error: clients parse it without a net. */
function invokeError(inner: { args: unknown; error_type: unknown; message: string }): CallFailure {
  return failure("PluginInvokeError", jsonText(inner));
}

function failure(type: ErrorType, message: string, status?: number): CallFailure {
  return { type, message, status };
}
