/**
 * Moves archives from the folder of earlier releases, `AUTHOR/NAME:VERSION@CHECKSUM.difypkg`, to the current one. An
 * archive is in one of the two at every moment, so that a killed start can simply be repeated, also by several processes at
 * once.
 */
import { randomUUID } from "node:crypto";
import { copyFile, link, mkdir, open, readdir, rm, rmdir } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { IDENTIFIER_PATTERN } from "../../domain/package-ref.ts";
import type { Log } from "../../observe/log.ts";
import { errorCode } from "../../util/error-code.ts";

const SUFFIX = ".difypkg";

export interface FormerLayoutOptions {
  readonly former: string;
  /** The current folder of archives, as in `openDiskPackages`. */
  readonly folder: string;
  readonly log: Log;
}

/** Resolves once the former folder has no archive; empty folders are removed. */
export async function moveFormerArchives({ former, folder, log }: FormerLayoutOptions): Promise<void> {
  const entries = await readdir(former, { recursive: true, withFileTypes: true }).catch(noneIfMissing);
  let moved = 0;
  for (const { parentPath, name } of entries.filter(
    (entry) => entry.isFile() && entry.name.endsWith(SUFFIX),
  )) {
    const from = join(parentPath, name);
    const identifier = relative(former, from).slice(0, -SUFFIX.length);
    if (!IDENTIFIER_PATTERN.test(identifier)) continue;
    if (await move({ from, to: join(folder, identifier), folder })) moved += 1;
  }
  for (const path of foldersOf(former, entries)) await rmdir(path).catch(() => undefined);
  if (moved > 0) log.info({ op: "packages.move", ok: true, moved }, "moved archives to their current folder");
}

interface Move {
  readonly from: string;
  readonly to: string;
  readonly folder: string;
}

/** False where another process has moved it. */
async function move({ from, to, folder }: Move): Promise<boolean> {
  await mkdir(dirname(to), { recursive: true });
  try {
    await link(from, to);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return false;
    if (errorCode(error) === "EXDEV") await copy({ from, to, folder });
    else if (errorCode(error) !== "EEXIST") throw error;
  }
  await sync(dirname(to));
  await rm(from, { force: true });
  return true;
}

/** Copies to another file system. */
async function copy({ from, to, folder }: Move): Promise<void> {
  const draft = join(folder, ".staging", randomUUID());
  await mkdir(dirname(draft), { recursive: true });
  try {
    await copyFile(from, draft);
    await sync(draft);
    await link(draft, to);
  } catch (error) {
    if (errorCode(error) !== "EEXIST") throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

/** All folders, the deepest first; one that is not empty stays. */
function foldersOf(former: string, entries: Awaited<ReturnType<typeof foldersBelow>>): readonly string[] {
  const below = entries
    .filter((entry) => entry.isDirectory())
    .map(({ parentPath, name }) => join(parentPath, name));
  return [...below.toSorted((a, b) => b.length - a.length), former];
}

const foldersBelow = (folder: string) => readdir(folder, { recursive: true, withFileTypes: true });

function noneIfMissing(error: unknown): Awaited<ReturnType<typeof foldersBelow>> {
  if (errorCode(error) === "ENOENT") return [];
  throw error;
}

async function sync(path: string): Promise<void> {
  await using handle = await open(path, "r");
  await handle.sync();
}
