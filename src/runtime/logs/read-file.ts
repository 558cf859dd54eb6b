/** Reads the log files of one runtime, whole lines only, also while they grow and are rotated. */
import { type FileHandle, open } from "node:fs/promises";
import { StringDecoder } from "node:string_decoder";
import type { RuntimeId } from "../../domain/ids.ts";
import type { LogChunk } from "../../engine/engine.ts";
import { inodeOf, listLogFiles, logFile } from "./paths.ts";

const CHUNK_BYTES = 64 * 1024;

/** A position in a runtime's log; reading continues from it, also after the file was rotated. */
export class LogCursor implements AsyncDisposable {
  readonly #folder: string;
  readonly runtimeId: RuntimeId;
  #handle: FileHandle | undefined;
  #inode: number | undefined;
  #decoder = new StringDecoder("utf8");
  #rest = "";

  constructor(folder: string, runtimeId: RuntimeId) {
    this.#folder = folder;
    this.runtimeId = runtimeId;
  }

  /** Lines since the last call, oldest file first. */
  async *read(signal: AbortSignal): AsyncGenerator<LogChunk, void, undefined> {
    if (this.#handle === undefined) await this.#open(await this.#oldest());
    while (this.#handle !== undefined) {
      yield* this.#drain(this.#handle, signal);
      const next = await this.#next();
      if (next === undefined) return;
      // Lines between the last read and the rotation are still in the old file.
      yield* this.#drain(this.#handle, signal);
      await this.#open(next);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle?.close();
    this.#handle = undefined;
  }

  async *#drain(handle: FileHandle, signal: AbortSignal): AsyncGenerator<LogChunk, void, undefined> {
    const buffer = Buffer.alloc(CHUNK_BYTES);
    while (!signal.aborted) {
      const { bytesRead } = await handle.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0) return;
      const lines = (this.#rest + this.#decoder.write(buffer.subarray(0, bytesRead))).split("\n");
      this.#rest = lines.pop() ?? "";
      for (const line of lines) {
        const chunk = parseLine(line);
        if (chunk !== undefined) yield chunk;
      }
    }
  }

  async #open(path: string | undefined): Promise<void> {
    if (path === undefined) return;
    const handle = await open(path, "r").catch(() => undefined);
    if (handle === undefined) return;
    await this.#handle?.close();
    this.#handle = handle;
    this.#inode = (await handle.stat()).ino;
    this.#decoder = new StringDecoder("utf8");
    this.#rest = "";
  }

  async #oldest(): Promise<string | undefined> {
    const files = await listLogFiles(this.#folder);
    return files.find((file) => file.runtimeId === this.runtimeId)?.path;
  }

  /** The file after the open one, undefined while that is the current one. */
  async #next(): Promise<string | undefined> {
    if ((await inodeOf(logFile(this.#folder, this.runtimeId))) === this.#inode) return undefined;
    const files = (await listLogFiles(this.#folder)).filter((file) => file.runtimeId === this.runtimeId);
    const inodes = await Promise.all(files.map(({ path }) => inodeOf(path)));
    const position = inodes.indexOf(this.#inode ?? -1);
    // If the open file was rotated away, the oldest that is left comes next.
    return files[position + 1]?.path;
  }
}

/** All kept lines of a runtime. */
export async function* readRuntime(
  folder: string,
  runtimeId: RuntimeId,
  signal: AbortSignal,
): AsyncGenerator<LogChunk, void, undefined> {
  await using cursor = new LogCursor(folder, runtimeId);
  yield* cursor.read(signal);
}

/** One line of a log file: time, stream, text. The text has no line end, so it cannot break the format. */
export function formatLine({ at, stream, text }: LogChunk): string {
  return `${at.toISOString()} ${stream} ${text}\n`;
}

/** Undefined for anything else, such as a line that a crash cut off. */
function parseLine(line: string): LogChunk | undefined {
  const stream = line.slice(25, 31);
  if (line[24] !== " " || line[31] !== " " || (stream !== "stdout" && stream !== "stderr")) return undefined;
  const at = new Date(line.slice(0, 24));
  return Number.isNaN(at.getTime()) ? undefined : { at, stream, text: line.slice(32) };
}
