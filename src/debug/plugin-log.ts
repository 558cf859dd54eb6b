import { mkdir } from "node:fs/promises";
import type { RuntimeId } from "../domain/ids.ts";
import { dropOldRuntimes, logFile, logFolder } from "../runtime/logs/paths.ts";
import { formatLine } from "../runtime/logs/read-file.ts";
import { RotatedFile } from "../runtime/logs/rotated-file.ts";
import type { RuntimeLogSettings } from "../runtime/settings.ts";
import type { Clock } from "../util/clock.ts";
import { storableText } from "../util/storable.ts";

export interface PluginLogOptions {
  readonly dataFolder: string;
  readonly poolKey: string;
  readonly runtimeId: RuntimeId;
  readonly clock: Clock;
  readonly settings: RuntimeLogSettings;
}

/** What a plugin may write in a second; more is counted and dropped. */
const BYTES_PER_SECOND = 262_144;

/**
 * The log of one connected plugin, where those of containers are: what Berth says of the connection, and what the plugin
 * sends beside the protocol. Its own output stays on the author's terminal. A disk that takes nothing loses lines.
 */
export class PluginLog implements AsyncDisposable {
  readonly #clock: Clock;
  readonly #file: RotatedFile;
  #second = 0;
  #bytes = 0;
  #dropped = 0;

  private constructor(clock: Clock, file: RotatedFile) {
    this.#clock = clock;
    this.#file = file;
  }

  static async open({
    dataFolder,
    poolKey,
    runtimeId,
    clock,
    settings,
  }: PluginLogOptions): Promise<PluginLog> {
    const folder = logFolder(dataFolder, poolKey);
    await mkdir(folder, { recursive: true, mode: 0o750 });
    await dropOldRuntimes(folder, runtimeId, settings.runtimesKept);
    const { bytesMax, files } = settings;
    const pathOf = (age: number) => logFile(folder, runtimeId, age);
    return new PluginLog(clock, await RotatedFile.open({ pathOf, bytesMax, files }));
  }

  /** One line; line ends within the text become spaces. */
  write(text: string): void {
    const second = Math.floor(this.#clock.elapsed() / 1000);
    if (second !== this.#second) {
      const dropped = this.#dropped;
      [this.#second, this.#bytes, this.#dropped] = [second, 0, 0];
      if (dropped > 0)
        this.#put(`[berth] ${dropped} lines dropped: the log takes ${BYTES_PER_SECOND} bytes a second`);
    }
    this.#bytes += text.length;
    if (this.#bytes > BYTES_PER_SECOND) this.#dropped += 1;
    else this.#put(text);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file[Symbol.asyncDispose]();
  }

  #put(text: string): void {
    const line = storableText(text).replace(/[\r\n]+/g, " ");
    const at = new Date(this.#clock.now());
    this.#file.write(formatLine({ at, stream: "stdout", text: line })).catch(() => undefined);
  }
}
