import type { LogChunk } from "../../engine/engine.ts";

/** One line of a log file: time, stream, text. The text has no line end, so it cannot break the format. */
export function formatLine({ at, stream, text }: LogChunk): string {
  return `${at.toISOString()} ${stream} ${text}\n`;
}

/** Undefined for anything else, such as a line that a crash cut off. */
export function parseLine(line: string): LogChunk | undefined {
  const stream = line.slice(25, 31);
  if (line[24] !== " " || line[31] !== " " || (stream !== "stdout" && stream !== "stderr")) return undefined;
  const at = new Date(line.slice(0, 24));
  return Number.isNaN(at.getTime()) ? undefined : { at, stream, text: line.slice(32) };
}
