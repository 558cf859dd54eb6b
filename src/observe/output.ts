/**
 * Writes the log to a descriptor whose reader may be slow, stuck or gone. Guarantees: that costs Berth nothing but lines
 * of its log.
 */
import { fstatSync, writeSync } from "node:fs";
import { Socket } from "node:net";

/** Lines are buffered for so long, or up to so many characters, to save system calls. */
const GATHER_MS = 100;
const GATHER_CHARS = 8192;
/** Most characters that wait for a slow reader; further lines are dropped and counted. */
const WAITING_BYTES_MAX = 4 * 1024 * 1024;

export interface Output {
  /** Takes whole lines, each with its line end. Never throws, never waits. */
  write(line: string): void;
  /** Writes the buffered lines. */
  flush(): void;
}

export function createOutput(fd: number): Output {
  const sink = openSink(fd);
  let gathered = "";
  let dropped = 0;
  let timer: NodeJS.Timeout | undefined;

  const flush = () => {
    clearTimeout(timer);
    timer = undefined;
    if (gathered === "") return;
    const text = gathered;
    gathered = "";
    sink.write(text);
  };
  process.on("exit", () => {
    // The process ends: a descriptor that takes nothing now gets nothing.
    if (gathered !== "") tryWrite(fd, gathered);
  });
  return {
    flush,
    write(line) {
      if (sink.waitingBytes() > WAITING_BYTES_MAX) {
        dropped += 1;
        return;
      }
      if (dropped > 0) gathered += lostLine(dropped);
      dropped = 0;
      gathered += line;
      if (gathered.length >= GATHER_CHARS) flush();
      else timer ??= setTimeout(flush, GATHER_MS).unref();
    },
  };
}

interface Sink {
  write(text: string): void;
  waitingBytes(): number;
}

/** Pipes and sockets have readers; a file or a terminal takes everything at once. */
function openSink(fd: number): Sink {
  const kind = fstatSync(fd);
  if (!kind.isFIFO() && !kind.isSocket()) {
    return { write: (text) => tryWrite(fd, text), waitingBytes: () => 0 };
  }
  const socket = new Socket({ fd, readable: false, writable: true });
  // The log does not keep a process alive, and a reader that is gone does not end it.
  socket.unref();
  socket.on("error", () => undefined);
  return {
    write: (text) => {
      if (socket.writable) socket.write(text);
    },
    waitingBytes: () => socket.writableLength,
  };
}

function tryWrite(fd: number, text: string): void {
  try {
    writeSync(fd, text);
  } catch {
    // A full disk or a closed terminal: there is nowhere left to report it.
  }
}

function lostLine(lines: number): string {
  const time = new Date().toISOString();
  const message = "Log lines dropped: the reader is too slow";
  return `${JSON.stringify({ level: "warn", time, op: "log.drop", ok: false, lines, msg: message })}\n`;
}
