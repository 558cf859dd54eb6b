import type { RuntimeId } from "../../domain/ids.ts";
import type { LogChunk } from "../../engine/engine.ts";
import type { Clock } from "../../util/clock.ts";
import type { RuntimeLogLine, RuntimeLogs } from "../runtimes.ts";
import type { RuntimeLogSettings } from "../settings.ts";
import { parseCallTag } from "./call-tag.ts";
import { listLogFiles, logFolder } from "./paths.ts";
import { LogCursor } from "./read-file.ts";

/** Reads the log files that the worker with the lease writes; any process that sees the data folder can. */
export function createRuntimeLogs({
  dataFolder,
  clock,
  settings,
}: {
  readonly dataFolder: string;
  readonly clock: Clock;
  readonly settings: Pick<RuntimeLogSettings, "pollMs">;
}): RuntimeLogs {
  return {
    async *read(poolKey, { since, requestId, follow, tail }, signal) {
      await using cursors = new PoolCursors(logFolder(dataFolder, poolKey));
      const wanted = (line: RuntimeLogLine) =>
        (since === undefined || line.at >= since) &&
        (requestId === undefined || line.requestIds.includes(requestId));
      const last: RuntimeLogLine[] = [];
      for await (const line of cursors.read(signal)) {
        if (!wanted(line)) continue;
        if (tail === undefined) yield line;
        else {
          last.push(line);
          if (last.length > tail) last.shift();
        }
      }
      yield* last;
      while (follow && (await slept(clock, settings.pollMs, signal))) {
        for await (const line of cursors.read(signal)) if (wanted(line)) yield line;
      }
    },
  };
}

async function slept(clock: Clock, ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await clock.sleep(ms, signal);
    return true;
  } catch (error) {
    if (signal.aborted) return false;
    throw error;
  }
}

function logLine({ at, stream, text }: LogChunk, runtimeId: RuntimeId): RuntimeLogLine {
  return { at, stream, runtimeId, ...parseCallTag(text) };
}

/** One cursor for each runtime that has a file. */
class PoolCursors implements AsyncDisposable {
  readonly #folder: string;
  readonly #cursors = new Map<RuntimeId, LogCursor>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** New lines of all of them, merged by time; only one line of each runtime is in memory. */
  async *read(signal: AbortSignal): AsyncGenerator<RuntimeLogLine, void, undefined> {
    for (const { runtimeId } of await listLogFiles(this.#folder)) {
      if (!this.#cursors.has(runtimeId)) this.#cursors.set(runtimeId, new LogCursor(this.#folder, runtimeId));
    }
    const sources = [...this.#cursors.values()].map((cursor) => ({ cursor, lines: cursor.read(signal) }));
    const heads: { line: RuntimeLogLine; source: (typeof sources)[number] }[] = [];
    for (const source of sources) {
      const next = await source.lines.next();
      if (!next.done) heads.push({ line: logLine(next.value, source.cursor.runtimeId), source });
    }
    while (heads.length > 0) {
      const first = heads.reduce((a, b) => (b.line.at < a.line.at ? b : a));
      yield first.line;
      const next = await first.source.lines.next();
      if (next.done) heads.splice(heads.indexOf(first), 1);
      else first.line = logLine(next.value, first.source.cursor.runtimeId);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#cursors.values()].map((cursor) => cursor[Symbol.asyncDispose]()));
  }
}
