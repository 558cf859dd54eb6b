/**
 * Where the log goes: a descriptor whose reader may be slow, stuck or gone. None of that may cost Berth more than
 * lines of its log.
 */
import { fstatSync, writeSync } from "node:fs";
import { Socket } from "node:net";

/** Lines are gathered for so long, or to so many characters, before they are written: a system call each is dear. */
const GATHER_MS = 100;
const GATHER_CHARS = 8192;
/** What a reader that does not keep up may leave waiting; what comes on top of it is dropped and counted. */
const WAITING_BYTES_MAX = 4 * 1024 * 1024;

export interface Output {
  /** Whole lines, each with its end. Never throws, never waits. */
  write(line: string): void;
  /** Hands on what has been gathered. */
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
    // Nothing is waited for any more; a descriptor that takes nothing now gets nothing.
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

/** Pipes and sockets have readers; a file or a terminal takes what it is given. */
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
    // A disk that is full, a terminal that has gone: there is nobody left to tell.
  }
}

function lostLine(lines: number): string {
  const time = new Date().toISOString();
  const message = "Log lines dropped: the reader is too slow";
  return `${JSON.stringify({ level: "warn", time, op: "log.drop", ok: false, lines, msg: message })}\n`;
}
