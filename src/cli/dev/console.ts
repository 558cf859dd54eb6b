/** What `berth dev` prints: its own lines, those of the plugin, and one for each call. */
import { styleText } from "node:util";
import { z } from "zod";
import type { FinishedCall } from "./calls.ts";

export interface DevConsole {
  /** A line of the command. */
  say(line: string): void;
  /** A line of the plugin's output. */
  plugin(line: string): void;
  call(call: FinishedCall): void;
}

type Style = Parameters<typeof styleText>[0];

/** A record of the SDK's log, which it writes to its output as JSON. */
const LogEvent = z.object({
  event: z.literal("log"),
  data: z.object({ level: z.string(), message: z.string() }),
});

/** Colours stand only where the stream is a terminal that has them, and `NO_COLOR` is not set. */
export function createConsole(stream: NodeJS.WriteStream): DevConsole {
  const print = (style: Style, text: string) =>
    void stream.write(`${styleText(style, text, { stream, validateStream: true })}\n`);
  return {
    say: (line) => print("cyan", `dev: ${line}`),
    plugin: (line) => print("dim", `plugin: ${readable(line)}`),
    call: (call) => print(call.error === undefined ? "green" : "red", describeCall(call)),
  };
}

/** One line, followed by the traceback of a plugin that raised an error. */
function describeCall({ name, ms, items, error }: FinishedCall): string {
  const took = `call: ${name}  ${Math.round(ms)} ms  `;
  if (error === undefined) return `${took}ok, ${items} ${items === 1 ? "message" : "messages"}`;
  const { type, message, traceback } = error;
  const lines = traceback === undefined ? "" : `\n${traceback.trimEnd().replace(/^/gm, "  ")}`;
  return `${took}failed: ${type}: ${message}${lines}`;
}

function readable(line: string): string {
  if (!line.startsWith("{")) return line;
  try {
    const { level, message } = LogEvent.parse(JSON.parse(line)).data;
    return `${level} ${message}`;
  } catch {
    return line;
  }
}
