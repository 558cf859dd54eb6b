/**
 * The daemon's error types, and which of them a fault becomes. Handlers throw faults, and one table maps each code to a
 * type of this door. Where a client reads an exact text or another type, `refusal` makes a fault that carries both.
 */
import { Fault, type FaultCode } from "../../domain/fault.ts";

export const ERROR_TYPES = {
  PluginDaemonInternalServerError: { code: -500, fault: "internal" },
  PluginDaemonBadRequestError: { code: -400, fault: "invalid_input" },
  PluginDaemonNotFoundError: { code: -404, fault: "not_found" },
  PluginUniqueIdentifierError: { code: -400, fault: "invalid_input" },
  PluginNotFoundError: { code: -404, fault: "installation_not_found" },
  PluginDaemonUnauthorizedError: { code: -401, fault: "unauthorized" },
  PluginPermissionDeniedError: { code: -403, fault: "permission_denied" },
  PluginInvokeError: { code: -500, fault: "plugin_error" },
} as const satisfies Record<string, { code: number; fault: FaultCode }>;

export type ErrorType = keyof typeof ERROR_TYPES;

/** An error as the daemon's clients know it. */
export interface DaemonError {
  readonly type: ErrorType;
  readonly message: string;
  /** HTTP status where it differs from that of the route. */
  readonly status: number | undefined;
}

/** Prefix of errors that may pass: clients retry where they find it. */
export const NOT_RUNNING = "no available node, plugin runtime not found";
export const KILLED = "killed by timeout";

/** The text of the daemon's database for an id that is not a UUID. */
export function notUuid(given: string): string {
  return `invalid input syntax for type uuid: "${given}"`;
}

/** A fault that this door reports with the given type and text. */
export function refusal(type: ErrorType, message: string, status?: number): Fault {
  return new Fault(ERROR_TYPES[type].fault, message, { context: { errorType: type, status } });
}

/** The error for a fault: with its own type where it carries one, else with that of its code. */
export function toDaemonError(fault: Fault): DaemonError {
  const { errorType, status } = fault.context;
  const type = isErrorType(errorType) ? errorType : typeOf(fault);
  return { type, message: fault.message, status: typeof status === "number" ? status : undefined };
}

const BY_CODE: Readonly<Partial<Record<FaultCode, ErrorType>>> = {
  installation_not_found: "PluginNotFoundError",
  not_found: "PluginDaemonNotFoundError",
  text_not_found: "PluginDaemonNotFoundError",
  permission_denied: "PluginPermissionDeniedError",
  unauthorized: "PluginDaemonUnauthorizedError",
  plugin_error: "PluginInvokeError",
};

function typeOf({ code, rule: { status } }: Fault): ErrorType {
  return BY_CODE[code] ?? (status < 500 ? "PluginDaemonBadRequestError" : "PluginDaemonInternalServerError");
}

function isErrorType(value: unknown): value is ErrorType {
  return typeof value === "string" && Object.hasOwn(ERROR_TYPES, value);
}
