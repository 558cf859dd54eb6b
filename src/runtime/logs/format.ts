import type { LogChunk } from "../../engine/engine.ts";

/** One line of a log file: time, stream, text; no text can break it, because a line's text has no line end. */
export function formatLine({ at, stream, text }: LogChunk): string {
  return `${at.toISOString()} ${stream} ${text}\n`;
}

/** Undefined for what is not such a line: the head of one that a crash cut off. */
export function parseLine(line: string): LogChunk | undefined {
  const stream = line.slice(25, 31);
  if (line[24] !== " " || line[31] !== " " || (stream !== "stdout" && stream !== "stderr")) return undefined;
  const at = new Date(line.slice(0, 24));
  return Number.isNaN(at.getTime()) ? undefined : { at, stream, text: line.slice(32) };
}
