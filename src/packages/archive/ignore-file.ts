import { readFile } from "node:fs/promises";
import { join } from "node:path";
import ignore from "ignore";
import { errorCode } from "../../util/error-code.ts";

/** True for a path that stays out of the package; a folder's path ends in a slash. */
export type Ignores = (path: string) => boolean;

/**
 * Reads `.difyignore` at the root of a folder, or `.gitignore` where there is none; without either nothing is ignored. A
 * path is ignored as soon as one pattern matches: `!` has no effect.
 */
export async function readIgnoreFile(folder: string): Promise<Ignores> {
  const text =
    (await readOptional(join(folder, ".difyignore"))) ?? (await readOptional(join(folder, ".gitignore")));
  return parseIgnore(text ?? "");
}

export function parseIgnore(text: string): Ignores {
  const patterns = text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== "" && !line.startsWith("#") && !line.startsWith("!"));
  const rules = ignore({ ignorecase: false }).add(patterns);
  return (path) => rules.ignores(path);
}

async function readOptional(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (failure) {
    if (errorCode(failure) === "ENOENT") return undefined;
    throw failure;
  }
}
