/** Which session a plugin's line belongs to, as far as its first bytes show it: the host checks the rest. */

export interface RoutedLine {
  readonly sessionId: string;
  /** `stream`, `invoke`, `error`, `end`; empty where the line does not say. */
  readonly kind: string;
}

export type PeerLine =
  | ({ readonly type: "session" } & RoutedLine)
  | { readonly type: "heartbeat" }
  /** Everything else, as text for the log. */
  | { readonly type: "log"; readonly text: string };

const SESSION_START =
  /^\s*\{\s*"event"\s*:\s*"session"\s*,\s*"session_id"\s*:\s*"([^"\\]{1,256})"\s*,\s*"data"\s*:\s*\{\s*"type"\s*:\s*"(\w{1,32})"/;
const ANY_SESSION_ID = /"session_id"\s*:\s*"([^"\\]{1,256})"/;
const HOST_LINE =
  /^\s*\{\s*"session_id"\s*:\s*"([^"\\]{1,256})"(\s*,\s*"request_id"\s*:\s*"[\w.:-]{1,128}")?/;
/** The start of a host's answer to a request of the plugin, as hosts write it. */
const ANSWER =
  /^\s*\{\s*"session_id"\s*:\s*"[^"\\]{1,256}"(?:\s*,\s*"(?:conversation_id|message_id|app_id|endpoint_id|context)"\s*:\s*null)*\s*,\s*"event"\s*:\s*"backwards_response"/;
const START_BYTES = 1_024;
/** A longer line is not parsed here: where its start does not name a session, it is text for the log. */
const PARSED_BYTES_MAX = 262_144;
const LOG_BYTES_MAX = 8_192;

export function readPeerLine(line: Buffer): PeerLine {
  const start = line.subarray(0, START_BYTES).toString("latin1");
  const usual = SESSION_START.exec(start);
  if (usual !== null) return { type: "session", sessionId: usual[1] ?? "", kind: usual[2] ?? "" };
  const message = line.length > PARSED_BYTES_MAX ? undefined : parseObject(line.toString("utf8"));
  const { event, session_id: sessionId, data } = message ?? {};
  if (event === "heartbeat") return { type: "heartbeat" };
  if (event === "session" && typeof sessionId === "string") {
    const kind: unknown = Reflect.get(Object(data), "type");
    return { type: "session", sessionId, kind: typeof kind === "string" ? kind : "" };
  }
  const { level, message: said }: { level?: unknown; message?: unknown } = Object(data);
  if (event === "log" && typeof level === "string" && typeof said === "string")
    return { type: "log", text: `${level} ${said}` };
  return { type: "log", text: line.subarray(0, LOG_BYTES_MAX).toString("utf8") };
}

/** The session of a line of which only the start is known. */
export function sessionOfStart(start: Buffer): string | undefined {
  return ANY_SESSION_ID.exec(start.toString("latin1"))?.[1];
}

/** What a host's line says at its start. */
export interface HostLine {
  /** The session that it opens; undefined for an answer to a request of the plugin, which opens none. */
  readonly opens: string | undefined;
  /** From where to where it names the call for the log, which is not for the plugin. */
  readonly requestId: { readonly start: number; readonly end: number } | undefined;
}

export function readHostLine(line: Buffer): HostLine {
  const start = line.subarray(0, START_BYTES).toString("latin1");
  const [whole = "", sessionId, requestId] = HOST_LINE.exec(start) ?? [];
  return {
    opens: ANSWER.test(start) ? undefined : sessionId,
    requestId:
      requestId === undefined ? undefined : { start: whole.length - requestId.length, end: whole.length },
  };
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
