/** One request into a runtime and its ordered stream of events, which has exactly one terminal event. */
import type { Fault } from "./fault.ts";
import type { JsonText } from "./frame.ts";
import type { TenantId } from "./ids.ts";
import type { JsonMap } from "./json.ts";
import type { Operation } from "./operations/operation.ts";

/** One call of an operation of a tenant's plugin, as a door hands it over. */
export interface InvocationRequest {
  readonly tenantId: TenantId;
  /** `author/name` */
  readonly pluginId: string;
  readonly operation: Operation;
  readonly content: InvocationContent;
  /** Shortens the deadline. Never lengthens it beyond what was granted. */
  readonly timeoutMs?: number;
  readonly requestId: string;
}

/** What a plugin is asked: fields as a caller sends them, or data that a door has already made for the wire. */
export type InvocationContent = CallerFields | WireData;

/** Checked against the operation's row and the plugin's declaration before anything is sent. */
export interface CallerFields {
  readonly form: "fields";
  /** The caller's JSON object, parsed. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** The text that `fields` was parsed from. The plugin gets this text, so that no number loses a digit. */
  readonly text: string;
  /** Credentials that the tenant keeps, in plain text: the plugin gets them in place of the member `credential`. */
  readonly kept?: JsonMap;
  /** Where in `text` the members stand that the operation knows; undefined: they are searched when they are needed. */
  readonly places?: ReadonlyMap<string, TextPlace>;
  /** The fields have been checked against the operation's schema; only those that Berth reads are included. */
  readonly isChecked?: true;
  /** The result of that check where it failed. */
  readonly refusal?: Fault | undefined;
}

/** The place of a member in a text; ends are exclusive. */
export interface TextPlace {
  /** Offset of the opening quote of its name. */
  readonly start: number;
  readonly valueStart: number;
  readonly end: number;
}

/** Sent as it is: the door that made it has checked it, and the plugin judges the rest. */
export interface WireData {
  readonly form: "wire";
  /** For whom the plugin acts; empty where the user is not known. */
  readonly userId: string;
  /** The wire's `data`, with `user_id`, `type` and `action`: one JSON object without line ends. */
  readonly data: string;
  /** Members beside `data` on the wire; those not given are null there. */
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

/**
 * The caller's side of a call. Methods are called synchronously and in order. An error thrown by one of them ends the
 * call.
 */
export interface InvocationSink {
  /** Bytes handed over that the caller has not read yet. */
  readonly bufferedBytes: number;
  /** The plugin has been sent the request: it never saw a call that failed before this. */
  started(): void;
  /** One item of the plugin's stream, unchanged. */
  item(data: JsonText): void;
  /** Exactly once, last. */
  end(end: InvocationEnd): void;
}

/** A call under way, for the door that started it. */
export interface Invocation {
  /** The caller left or does not want to wait. The sink gets no more events; the plugin's work goes on. */
  detach(): void;
}
