import { Fault } from "../domain/fault.ts";
import type { PluginError } from "../domain/frame.ts";
import { explainReadOnly } from "../domain/read-only.ts";

/**
 * The plugin's own failure as data: its class, its message, its arguments. Where it wrote in a place that is read-only,
 * the public message says where writing works.
 */
export function pluginFault({ errorType, message, args }: PluginError): Fault {
  const hint = explainReadOnly(message);
  return new Fault("plugin_error", hint === undefined ? message : `${message} (${hint})`, {
    details: { error_type: errorType, message, args },
  });
}
