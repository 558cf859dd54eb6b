import { Fault } from "../domain/fault.ts";
import type { PluginError } from "../domain/frame.ts";
import { explainReadOnly } from "../domain/read-only.ts";
import { explainMissingPart } from "../runtime/launch/missing-part.ts";

/**
 * The plugin's own failure as data: its class, its message, its arguments. Behind the plugin's own message, the fault's
 * says where writing works if it wrote in a place that is read-only, or what its image lacks if that is why it failed.
 */
export function pluginFault({ errorType, message, args }: PluginError, pluginId: string): Fault {
  const hint = explainReadOnly(message) ?? explainMissingPart(message, pluginId);
  return new Fault("plugin_error", hint === undefined ? message : `${message} (${hint})`, {
    details: { error_type: errorType, message, args },
  });
}
