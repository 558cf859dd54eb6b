/** Small files that a tenant or the operator gives to the plugin of one installation. */
import { invalidInput } from "./fault.ts";

/** As it is listed; its content is never returned. */
export interface PluginFile {
  readonly name: string;
  readonly bytes: number;
  /** Of the content, in hex; undefined for a secret, because a digest lets a short content be guessed. */
  readonly sha256: string | undefined;
  readonly changedAt: Date;
}

/** As the plugin finds it. */
export interface PluginFileContent {
  readonly name: string;
  readonly content: Buffer;
}

/** Of one installation. */
export interface PluginFileLimits {
  readonly fileBytesMax: number;
  readonly filesBytesMax: number;
}

const NAME = /^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$/;
const FILES_MAX = 50;

/** Throws `invalid_input`. */
export function assertFileName(name: string): void {
  if (NAME.test(name)) return;
  throw invalidInput("name", name, "1 to 128 letters, digits, `_`, `-` and `.`, not a `-` or `.` first");
}

/** Whether the file fits beside the other ones of its installation. Throws `invalid_input`. */
export function assertFits(
  { name, bytes }: Pick<PluginFile, "name" | "bytes">,
  stored: readonly Pick<PluginFile, "name" | "bytes">[],
  { filesBytesMax }: PluginFileLimits,
): void {
  const all = [...stored.filter((one) => one.name !== name), { name, bytes }];
  if (all.length > FILES_MAX) throw invalidInput("files", all.length, `at most ${FILES_MAX} files`);
  const sum = all.reduce((total, one) => total + one.bytes, 0);
  if (sum > filesBytesMax)
    throw invalidInput(
      "files",
      `${sum} bytes`,
      `at most ${filesBytesMax} bytes together (BERTH_PLUGIN_FILES_KB_MAX)`,
    );
}
