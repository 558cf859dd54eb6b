/**
 * What a plugin sends to the host within a session, after the codec has checked types, depth and text. Unknown keys are
 * stripped, never refused: plugins of every SDK release must keep working.
 */
import { Fault } from "./fault.ts";

/** How deep lists and objects may be nested in what a plugin sends. No SDK writes half as deep. */
export const FRAME_DEPTH_MAX = 512;

/** Lists, objects and members that Berth builds from one JSON text. Text that is only passed on may have any number. */
const FRAME_NODES_MAX = 200_000;

/** A JSON value as the plugin wrote it: valid, on one line, `FRAME_DEPTH_MAX` deep at most. */
export interface JsonText {
  readonly text: string;
  /** Number of lists, objects and members of objects in it. */
  readonly nodes: number;
  /** Of a large text: the same in UTF-8, so that passing it on does not encode it again. */
  readonly utf8?: Uint8Array;
}

/** The plugin's own failure. */
export interface PluginError {
  readonly errorType: string;
  readonly message: string;
  readonly args: Readonly<Record<string, unknown>>;
}

/** A backwards call: what the plugin asks of the host. */
export interface HostCallFrame {
  readonly id: string;
  readonly type: string;
  /** An object. */
  readonly request: JsonText;
}

export type SessionFrame =
  | { readonly type: "stream"; readonly data: JsonText }
  | { readonly type: "invoke"; readonly call: HostCallFrame }
  | { readonly type: "error"; readonly error: PluginError }
  | { readonly type: "end" };

/** How a plugin broke the protocol: the field of its message, what it held, what is accepted. */
export interface ProtocolBreach {
  readonly field: string;
  readonly found: string;
  readonly accepted: string;
}

export function protocolFault({ field, found, accepted }: ProtocolBreach): Fault {
  const message = `The plugin broke the protocol: ${field} is ${found}; accepted: ${accepted}.`;
  return new Fault("plugin_protocol", message, { details: { field, value: found, accepted } });
}

/** Builds the value, on the event loop. Throws `plugin_protocol` where the text has too many values to build there. */
export function readJson({ text, nodes }: JsonText): unknown {
  if (nodes <= FRAME_NODES_MAX) return JSON.parse(text);
  const found = `${nodes} lists, objects and members`;
  throw protocolFault({ field: "data.data", found, accepted: `at most ${FRAME_NODES_MAX} of them` });
}
