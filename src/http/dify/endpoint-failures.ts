/** What use cases refuse, in the texts that the platform shows to its users. */

import { type Fault, type FaultCode, isFault } from "../../domain/fault.ts";
import type { PlatformWork } from "../../endpoint/endpoints.ts";
import { type ErrorType, refusal } from "./errors.ts";

type ToRefusal = (fault: Fault) => Fault;

/** By code. A code that is not listed is reported as on every other route. */
export type RefusalTable = Readonly<Partial<Record<FaultCode, ToRefusal>>>;

/** Throws the route's error for a failure. */
export function rethrowBy(table: RefusalTable): (error: unknown) => never {
  return (error) => {
    const toRefusal = isFault(error) ? table[error.code] : undefined;
    throw isFault(error) && toRefusal !== undefined ? toRefusal(error) : error;
  };
}

export function as(type: ErrorType, message: string): ToRefusal {
  return () => refusal(type, message);
}

/** Appends the cause, in the words of the part that failed. */
export function because(type: ErrorType, message: string): ToRefusal {
  return (fault) => refusal(type, `${message}: ${whyOf(fault)}`);
}

/** The daemon knows only the manifest's side of it. */
export const NO_PERMISSION: ToRefusal = ({ details, message }) =>
  refusal(
    "PluginPermissionDeniedError",
    details["granted"] === false
      ? `permission denied: ${message}`
      : "permission denied, you need to enable endpoint access in plugin manifest",
  );
export const NO_ENDPOINTS = as("PluginDaemonBadRequestError", "plugin does not have an endpoint");

/** Settings that break their rules are the caller's error; other invalid input was a database error in the daemon. */
export function wrongInput(work: "setup" | "update"): ToRefusal {
  return (fault) =>
    typeof fault.context["rule"] === "string"
      ? refusal("PluginDaemonBadRequestError", `failed to validate settings: ${fault.context["rule"]}`)
      : refusal("PluginDaemonInternalServerError", `failed to ${work} endpoint: ${fault.message}`);
}

const PLATFORM_WORK = {
  encrypt: "failed to encrypt settings",
  decrypt: "failed to decrypt settings",
  clear: "failed to clear credentials cache",
} as const satisfies Record<PlatformWork, string>;

/** `otherwise`: what was being done where the fault does not say. */
export function secretFailures(otherwise: PlatformWork): RefusalTable {
  const toRefusal: ToRefusal = (fault) => {
    const { work } = fault.context;
    const doing = isPlatformWork(work) ? work : otherwise;
    return refusal("PluginDaemonInternalServerError", `${PLATFORM_WORK[doing]}: ${whyOf(fault)}`);
  };
  return { platform_unavailable: toRefusal, platform_refused: toRefusal, secret_unreadable: toRefusal };
}

function isPlatformWork(value: unknown): value is PlatformWork {
  return typeof value === "string" && Object.hasOwn(PLATFORM_WORK, value);
}

function whyOf({ context, message }: Fault): string {
  return typeof context["why"] === "string" ? context["why"] : message;
}
