/** Failures of hooks as the daemon's callers know them. Other faults keep their own status. */
import type { Fault, FaultCode } from "../../domain/fault.ts";
import { type DaemonError, type ErrorType, KILLED, NOT_RUNNING, toDaemonError } from "../dify/errors.ts";

export type HookError = DaemonError & { readonly status: number };

interface Row {
  readonly status: number;
  readonly type: ErrorType;
  /** In place of the fault's own message. */
  readonly text?: string;
  /** In front of the fault's own message. */
  readonly start?: string;
}

const STOPPED = {
  status: 404,
  type: "PluginDaemonInternalServerError",
  start: `${NOT_RUNNING}: `,
} as const;

const ROWS: Readonly<Partial<Record<FaultCode, Row>>> = {
  endpoint_not_found: { status: 404, type: "PluginDaemonBadRequestError", text: "endpoint not found" },
  installation_not_found: {
    status: 404,
    type: "PluginDaemonBadRequestError",
    text: "plugin installation not found",
  },
  plugin_not_ready: STOPPED,
  plugin_disabled: STOPPED,
  endpoint_disabled: { status: 404, type: "PluginDaemonNotFoundError", text: "endpoint not found" },
  operation_not_found: { status: 404, type: "PluginNotFoundError", text: "plugin not found" },
  plugin_protocol: { status: 500, type: "PluginDaemonInternalServerError" },
  plugin_timeout: { status: 504, type: "PluginDaemonInternalServerError", text: KILLED },
  platform_unavailable: { status: 500, type: "PluginDaemonInternalServerError" },
  store_unavailable: { status: 500, type: "PluginDaemonInternalServerError", text: "internal server error" },
};

export function hookFailure(fault: Fault): HookError {
  const { code, rule } = fault;
  // the plugin's own error, unchanged
  if (code === "plugin_error") {
    const { args, error_type, message } = fault.details;
    const text = JSON.stringify({ args, error_type, message });
    return { status: 500, type: "PluginDaemonInternalServerError", message: text };
  }
  const row = ROWS[code];
  if (row !== undefined)
    return { status: row.status, type: row.type, message: row.text ?? `${row.start ?? ""}${fault.message}` };
  const error = toDaemonError(fault);
  const type =
    rule.status >= 500 || code === "busy" || code === "quota_calls"
      ? "PluginDaemonInternalServerError"
      : error.type;
  return { type, message: error.message, status: error.status ?? rule.status };
}
