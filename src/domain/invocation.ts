/** One request into a Runtime and its ordered stream of events up to exactly one terminal event. */
import type { Fault } from "./fault.ts";
import type { JsonText } from "./frame.ts";
import type { TenantId } from "./ids.ts";
import type { Operation } from "./operations/operation.ts";

export interface InvocationRequest {
  readonly tenantId: TenantId;
  /** `author/name` */
  readonly pluginId: string;
  readonly operation: Operation;
  readonly content: InvocationContent;
  /** Shortens the deadline; more than what was granted counts as what was granted. */
  readonly timeoutMs?: number;
  readonly requestId: string;
}

/** What a plugin is asked: as a caller has it, or as a door has made it from what its own callers send. */
export type InvocationContent = CallerFields | WireData;

/** Checked against the operation's row and the plugin's Declaration before anything is sent. */
export interface CallerFields {
  readonly form: "fields";
  /** The caller's JSON object, parsed. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** The text that `fields` was parsed from: what the plugin gets, so that no number loses a digit on the way. */
  readonly text: string;
  /** Where in `text` the members stand that the operation knows; undefined: they are looked for when they are needed. */
  readonly places?: ReadonlyMap<string, TextPlace>;
  /** The fields have been held against the operation's schema, and only those are there that Berth reads. */
  readonly isChecked?: true;
  /** What that has found. */
  readonly refusal?: Fault | undefined;
}

/** Of a member in a text; ends are exclusive. */
export interface TextPlace {
  /** Of its name's opening quote. */
  readonly start: number;
  readonly valueStart: number;
  readonly end: number;
}

/** Sent as it is: whoever makes it has checked it, and the plugin judges the rest. */
export interface WireData {
  readonly form: "wire";
  /** For whom the plugin acts; empty where nobody is known. */
  readonly userId: string;
  /** The wire's `data`, with `user_id`, `type` and `action`: one JSON object without line ends. */
  readonly data: string;
  /** What stands beside it on the wire; what is not given is null there. */
  readonly about: {
    readonly conversation_id?: string | null;
    readonly message_id?: string | null;
    readonly app_id?: string | null;
    readonly endpoint_id?: string | null;
    /** The text of a JSON object without line ends. */
    readonly context?: string | undefined;
  };
}

export type InvocationEnd = { readonly ok: true } | { readonly ok: false; readonly fault: Fault };

/** The caller's end of an Invocation. Methods are called synchronously, in order. What one throws ends the Invocation. */
export interface InvocationSink {
  /** Bytes handed over that the caller has not taken yet. */
  readonly bufferedBytes: number;
  /** The plugin has been sent the request: what fails before this was never seen by it. */
  started(): void;
  /** One item of the plugin's stream, as it came. */
  item(data: JsonText): void;
  /** Exactly once, last. */
  end(end: InvocationEnd): void;
}

export interface Invocation {
  /** The caller is gone or does not want to wait: nothing more is told to the sink. The plugin's work goes on. */
  detach(): void;
}
