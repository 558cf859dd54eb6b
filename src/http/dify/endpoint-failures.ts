/** What the use cases refuse, in the texts that the platform shows to its users. */

import { type Fault, type FaultCode, isFault } from "../../domain/fault.ts";
import type { PlatformWork } from "../../endpoint/endpoints.ts";
import { type ErrorType, refusal } from "./errors.ts";

type Told = (fault: Fault) => Fault;

/** By code; what is not here is told as every other route tells it. */
export type Telling = Readonly<Partial<Record<FaultCode, Told>>>;

/** Throws what the route tells of a failure. */
export function telling(table: Telling): (error: unknown) => never {
  return (error) => {
    const told = isFault(error) ? table[error.code] : undefined;
    throw isFault(error) && told !== undefined ? told(error) : error;
  };
}

export function as(type: ErrorType, message: string): Told {
  return () => refusal(type, message);
}

/** With the cause behind it, as whoever failed says it. */
export function because(type: ErrorType, message: string): Told {
  return (fault) => refusal(type, `${message}: ${whyOf(fault)}`);
}

export const NO_PERMISSION = as(
  "PluginPermissionDeniedError",
  "permission denied, you need to enable endpoint access in plugin manifest",
);
export const NO_ENDPOINTS = as("PluginDaemonBadRequestError", "plugin does not have an endpoint");

/** Settings against their rules are the caller's mistake; texts that no column holds were the database's word. */
export function wrongInput(work: "setup" | "update"): Told {
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

/** `otherwise`: what was being done where the Fault does not say it. */
export function secretFailures(otherwise: PlatformWork): Telling {
  const told: Told = (fault) => {
    const { work } = fault.context;
    const doing = isPlatformWork(work) ? work : otherwise;
    return refusal("PluginDaemonInternalServerError", `${PLATFORM_WORK[doing]}: ${whyOf(fault)}`);
  };
  return { platform_unavailable: told, platform_refused: told, secret_unreadable: told };
}

function isPlatformWork(value: unknown): value is PlatformWork {
  return typeof value === "string" && Object.hasOwn(PLATFORM_WORK, value);
}

function whyOf({ context, message }: Fault): string {
  return typeof context["why"] === "string" ? context["why"] : message;
}
