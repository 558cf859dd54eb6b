import type { SessionFrame } from "../domain/frame.ts";

export interface SessionLine {
  readonly sessionId: string;
  readonly frame: SessionFrame;
}

/** What the runner says before a line that is large, so that room can be made before it is read. */
export interface Announcement {
  readonly sessionId: string;
  /** Length of the line that follows, its newline included. */
  readonly bytes: number;
}

const ANNOUNCEMENT_START = '{"berth":"frame"';

/**
 * Reads one line of the plugin. Undefined for anything that is not a session's frame of a known type. Written by
 * hand, without a schema: this runs for every event of every Invocation.
 */
export function parseSessionLine(text: string): SessionLine | undefined {
  const outer = parseObject(text);
  if (outer?.["event"] !== "session") return undefined;
  const sessionId = outer["session_id"];
  const inner = outer["data"];
  if (typeof sessionId !== "string" || !isObject(inner)) return undefined;
  const type = inner["type"];
  switch (type) {
    case "stream":
    case "invoke":
    case "error":
    case "end":
      return { sessionId, frame: { type, data: inner["data"] } };
    default:
      return undefined;
  }
}

/** Undefined for any line that is not an announcement. The runner lets no line of a plugin begin like one. */
export function parseAnnouncement(text: string): Announcement | undefined {
  if (!text.startsWith(ANNOUNCEMENT_START)) return undefined;
  const value = parseObject(text);
  const sessionId = value?.["session_id"];
  const bytes = value?.["bytes"];
  if (typeof sessionId !== "string" || typeof bytes !== "number") return undefined;
  return Number.isSafeInteger(bytes) && bytes > 0 ? { sessionId, bytes } : undefined;
}

/** The session that a line which cannot be read speaks of, as far as its text shows. */
export function findSessionId(text: string): string | undefined {
  return /"session_id"\s*:\s*"([^"\\]*)"/.exec(text)?.[1];
}

export function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
