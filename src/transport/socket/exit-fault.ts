import { Fault } from "../../domain/fault.ts";
import type { RuntimeExit } from "../transport.ts";

/** The Fault of the open sessions of a plugin that ended, with the cause as far as it is known. */
export function exitFault({ exitCode, signal, oom, hung }: RuntimeExit): Fault {
  if (hung !== undefined) return unhealthy(hung);
  const how = oom
    ? "ran out of memory"
    : signal !== undefined
      ? `was killed by ${signal}`
      : `exited with code ${exitCode ?? "unknown"}`;
  return new Fault("plugin_crashed", `The plugin ${how} during the call.`, {
    details: { exitCode: exitCode ?? null, signal: signal ?? null, oom },
  });
}

function unhealthy(reason: string): Fault {
  return new Fault(
    "plugin_unhealthy",
    `The plugin hung during the call (${reason}). Berth ended its container and starts another one.`,
    { details: { reason } },
  );
}

export function linkLost(message = "The connection to the plugin was lost during the call."): Fault {
  return new Fault("link_lost", message);
}

export function frameTooLarge(bytes: number, frameBytesMax: number): Fault {
  return new Fault(
    "frame_too_large",
    `The message has at least ${bytes} bytes; accepted: at most ${frameBytesMax}.`,
    {
      details: { field: "message", value: bytes, accepted: frameBytesMax },
    },
  );
}
