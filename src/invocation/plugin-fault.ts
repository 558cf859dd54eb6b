import { Fault } from "../domain/fault.ts";
import type { PluginError } from "../domain/frame.ts";
import { explainMissingPart } from "../runtime/launch/missing-part.ts";

/**
 * The plugin's own failure as data: its class, its message, its arguments. If it failed for a library or a program that
 * its image lacks, the fault's message says so behind the plugin's own.
 */
export function pluginFault({ errorType, message, args }: PluginError, pluginId: string): Fault {
  const missing = explainMissingPart(message, pluginId);
  const text = missing === undefined ? message : `${message} (${missing})`;
  return new Fault("plugin_error", text, { details: { error_type: errorType, message, args } });
}
