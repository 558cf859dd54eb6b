/**
 * Parses a plugin's line once, into a frame that needs no further checks. Values are built only where the host itself
 * reads them; data that is only passed on stays text.
 */
import { isUtf8 } from "node:buffer";
import { FRAME_DEPTH_MAX, type JsonText, type ProtocolBreach, type SessionFrame } from "../domain/frame.ts";
import { JsonCursor } from "../util/json/json-cursor.ts";

export interface SessionLine {
  readonly sessionId: string;
  readonly frame: SessionFrame;
}

/** A line that is no frame, with the reason, and its session as far as the line shows it. */
export interface BrokenLine {
  readonly sessionId: string | undefined;
  readonly frame: undefined;
  readonly breach: ProtocolBreach;
}

/** The runner announces a large line, so that the host can make room before it reads it. */
export interface Announcement {
  readonly sessionId: string;
  /** Length of the line that follows, including its newline. */
  readonly bytes: number;
}

const ANNOUNCEMENT_START = Buffer.from('{"berth":"frame"');
/** The host makes the ids, and types are words: neither is longer than this. */
const NAME_LENGTH_MAX = 256;
/** Most lists, objects and members of an error, which is built as a value. */
const ERROR_NODES_MAX = 10_000;
/** The envelope is around the data. */
const LINE_DEPTH_MAX = FRAME_DEPTH_MAX + 2;

/** As `parseSessionLine`, for the bytes of a line. Never throws. */
export function parseSessionBytes(line: Buffer): SessionLine | BrokenLine {
  const text = line.toString("utf8");
  // Bytes that cannot be decoded become this character, which may also be in the text itself.
  if (text.includes("\ufffd") && !isUtf8(line))
    return { sessionId: findSessionId(text), frame: undefined, breach: NOT_UTF8 };
  return parseSessionLine(text);
}

const NOT_UTF8: ProtocolBreach = {
  field: "the line",
  found: "bytes that are not UTF-8",
  accepted: "UTF-8",
};

/** Never throws. */
export function parseSessionLine(text: string): SessionLine | BrokenLine {
  const found = readEnvelope(text);
  const { sessionId } = found;
  const breach = found.breach ?? envelopeBreach(found);
  if (breach !== undefined || sessionId === undefined)
    return { sessionId: sessionId ?? findSessionId(text), frame: undefined, breach: breach ?? NO_SESSION };
  const frame = readFrame(found);
  return "field" in frame ? { sessionId, frame: undefined, breach: frame } : { sessionId, frame };
}

/** Undefined for a line that is no announcement. The runner passes on no line of a plugin that begins like one. */
export function parseAnnouncement(line: Buffer): Announcement | undefined {
  if (line[2] !== ANNOUNCEMENT_START[2] || line.indexOf(ANNOUNCEMENT_START) !== 0) return undefined;
  const value = parseObject(line.toString("utf8"));
  const sessionId = value?.["session_id"];
  const bytes = value?.["bytes"];
  if (typeof sessionId !== "string" || typeof bytes !== "number") return undefined;
  return Number.isSafeInteger(bytes) && bytes > 0 ? { sessionId, bytes } : undefined;
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

/** The session of a line that cannot be parsed, as far as its text shows it. */
function findSessionId(text: string): string | undefined {
  return /"session_id"\s*:\s*"([^"\\]{1,256})"/.exec(text)?.[1];
}

/** The values of the fields that matter. */
interface Envelope {
  event: string | undefined;
  sessionId: string | undefined;
  type: string | undefined;
  /** Undefined if the field is missing. */
  data: JsonText | undefined;
  breach: ProtocolBreach | undefined;
}

function readEnvelope(text: string): Envelope {
  const found: Envelope = {
    event: undefined,
    sessionId: undefined,
    type: undefined,
    data: undefined,
    breach: undefined,
  };
  const cursor = new JsonCursor(text, LINE_DEPTH_MAX);
  const inner = (name: string): boolean => {
    if (name === "type") return readName((value) => (found.type = value), cursor);
    if (name !== "data") return cursor.skip();
    cursor.peek();
    const { at, nodes } = cursor;
    if (!cursor.skip()) return false;
    found.data = { text: oneLine(text.slice(at, cursor.at)), nodes: cursor.nodes - nodes };
    return true;
  };
  const outer = (name: string): boolean => {
    switch (name) {
      case "event":
        return readName((value) => (found.event = value), cursor);
      case "session_id":
        return readName((value) => (found.sessionId = value), cursor);
      case "data":
        return cursor.peek() === OPEN_OBJECT ? cursor.object(inner) : cursor.skip();
      default:
        return cursor.skip();
    }
  };
  if (!cursor.object(outer) || !cursor.isAtEnd())
    found.breach = { field: "the line", found: cursor.problem, accepted: "one JSON object" };
  return found;
}

const QUOTE = 0x22;
const OPEN_OBJECT = 0x7b;

/** Anything but a text, and a text that is too long for a name, counts as missing. */
function readName(take: (value: string | undefined) => void, cursor: JsonCursor): boolean {
  if (cursor.peek() !== QUOTE) {
    take(undefined);
    return cursor.skip();
  }
  const value = cursor.string();
  take(value !== undefined && value.length <= NAME_LENGTH_MAX ? value : undefined);
  return value !== undefined;
}

const NO_SESSION: ProtocolBreach = {
  field: "session_id",
  found: "missing",
  accepted: `a text of at most ${NAME_LENGTH_MAX} characters`,
};

function envelopeBreach({ event, sessionId }: Envelope): ProtocolBreach | undefined {
  if (event !== "session") return { field: "event", found: shown(event), accepted: "session" };
  return sessionId === undefined ? NO_SESSION : undefined;
}

function readFrame({ type, data }: Envelope): SessionFrame | ProtocolBreach {
  switch (type) {
    case "stream":
      return data === undefined ? missing("any JSON value") : { type, data };
    case "invoke":
      return readCall(data);
    case "error":
      return readError(data);
    case "end":
      return { type };
    default:
      return { field: "data.type", found: shown(type), accepted: "stream, invoke, error or end" };
  }
}

function missing(accepted: string): ProtocolBreach {
  return { field: "data.data", found: "missing", accepted };
}

/** Checks the call without building its request; whoever serves the call parses that. */
function readCall(data: JsonText | undefined): SessionFrame | ProtocolBreach {
  if (data === undefined) return missing("an object");
  const cursor = new JsonCursor(data.text, FRAME_DEPTH_MAX);
  let id: string | undefined;
  let type: string | undefined;
  let request: JsonText | undefined = EMPTY;
  const isObject = cursor.object((name) => {
    if (name === "backwards_request_id") return readName((value) => (id = value), cursor);
    if (name === "type") return readName((value) => (type = value), cursor);
    if (name !== "request") return cursor.skip();
    const first = cursor.peek();
    const { at, nodes } = cursor;
    if (!cursor.skip()) return false;
    const text = data.text.slice(at, cursor.at);
    const isFine = first === OPEN_OBJECT || text === "null";
    request = isFine ? { text: text === "null" ? "{}" : text, nodes: cursor.nodes - nodes } : undefined;
    return true;
  });
  const name = NO_SESSION.accepted;
  const breach = (field: string, accepted: string) => ({
    field: `data.data${field}`,
    found: WRONG,
    accepted,
  });
  if (!isObject) return breach("", "an object");
  if (!isName(id)) return breach(".backwards_request_id", name);
  if (!isName(type)) return breach(".type", name);
  if (request === undefined) return breach(".request", "an object");
  return { type: "invoke", call: { id, type, request } };
}

/** It is shown to callers and logged. */
function isName(value: string | undefined): value is string {
  return value !== undefined && !/[\p{Cc}\p{Cs}]/u.test(value);
}

const EMPTY: JsonText = { text: "{}", nodes: 1 };
const WRONG = "missing or of another type";

function readError(data: JsonText | undefined): SessionFrame | ProtocolBreach {
  if (data === undefined) return missing("an object");
  if (data.nodes > ERROR_NODES_MAX) {
    const found = `${data.nodes} lists, objects and members`;
    return { field: "data.data", found, accepted: `at most ${ERROR_NODES_MAX} of them` };
  }
  // Data that is no object does not describe the failure, but it is a failure all the same.
  const error = parseObject(data.text) ?? {};
  const { error_type: errorType, message, args } = error;
  const breach = (field: string, value: unknown, accepted: string) => ({
    field: `data.data.${field}`,
    found: typeName(value),
    accepted,
  });
  if (!isTextOrNothing(errorType)) return breach("error_type", errorType, "a text");
  if (!isTextOrNothing(message)) return breach("message", message, "a text");
  if (args !== undefined && args !== null && !isObject(args)) return breach("args", args, "an object");
  return {
    type: "error",
    error: {
      errorType: errorType?.toWellFormed() ?? "Exception",
      message: message?.toWellFormed() ?? "The plugin gave no reason.",
      args: args ?? {},
    },
  };
}

function isTextOrNothing(value: unknown): value is string | null | undefined {
  return value === undefined || value === null || typeof value === "string";
}

function typeName(value: unknown): string {
  return Array.isArray(value) ? "a list" : typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function shown(value: string | undefined): string {
  if (value === undefined) return WRONG;
  const text = JSON.stringify(value);
  return text.length > 60 ? `${text.slice(0, 57)}...` : text;
}

/** A carriage return is only white space between tokens here, and would end a line of an event stream. */
function oneLine(text: string): string {
  return text.includes("\r") ? text.replaceAll("\r", " ") : text;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
