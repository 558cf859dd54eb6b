/**
 * What a plugin says to the host inside of a session, as the codec has checked it: types, depth and text can be trusted
 * from here on. Unknown keys are stripped, never refused: plugins of every SDK release must go on working.
 */
import { Fault } from "./fault.ts";

/** How many lists and objects may stand inside each other in what a plugin says. No SDK writes half as deep. */
export const FRAME_DEPTH_MAX = 512;

/** What one JSON text may make us build: lists, objects and members. Their text is passed on whatever their number. */
const FRAME_NODES_MAX = 200_000;

/** A JSON value as the plugin wrote it: valid, on one line, `FRAME_DEPTH_MAX` deep at most. */
export interface JsonText {
  readonly text: string;
  /** Lists, objects and members of objects in it. */
  readonly nodes: number;
  /** The text in UTF-8, of a large one: whoever passes it on need not make it again. */
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

/** Where a plugin broke the protocol: the place in its message, what stood there, what would have been taken. */
export interface ProtocolBreach {
  readonly field: string;
  readonly found: string;
  readonly accepted: string;
}

export function protocolFault({ field, found, accepted }: ProtocolBreach): Fault {
  const message = `The plugin sent a message that is not of its protocol: ${field} is ${found}; accepted: ${accepted}.`;
  return new Fault("plugin_protocol", message, { details: { field, value: found, accepted } });
}

/** Builds the value. Throws `plugin_protocol` where it is too wide: what builds it runs on everybody's time. */
export function readJson({ text, nodes }: JsonText): unknown {
  if (nodes <= FRAME_NODES_MAX) return JSON.parse(text);
  const found = `${nodes} lists, objects and members`;
  throw protocolFault({ field: "data.data", found, accepted: `at most ${FRAME_NODES_MAX} of them` });
}
