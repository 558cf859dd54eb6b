/**
 * One process per data folder: two on one embedded database would corrupt it. The lock is a file with its holder's pid,
 * start time and boot id, so that a dead holder is distinguished from a process that got the same pid later.
 */
import { createHash } from "node:crypto";
import { link, mkdir, readFile, rename, unlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { Fault } from "../domain/fault.ts";
import { errorCode } from "../util/error-code.ts";
import { isRunning, markOwnProcess, type ProcessMark } from "../util/process-mark.ts";

const Holder = z.object({ pid: z.int().positive(), startTime: z.string(), bootId: z.string() });

/**
 * Locks the folder, which it creates where it is missing, for this process until disposed. Throws `data_folder_locked` with
 * the pid of the process that has it. A dead process's lock is taken over; of several processes that start, one wins.
 */
export async function lockDataFolder(folder: string): Promise<AsyncDisposable> {
  await mkdir(folder, { recursive: true });
  return lockFile(join(folder, "berth.lock"), folder);
}

/** Locks with any file; the refusal names `what`. */
export async function lockFile(path: string, what: string): Promise<AsyncDisposable> {
  const me = await markOwnProcess();
  const text = `${JSON.stringify(me)}\n`;
  const draft = `${path}.${me.pid}.${crypto.randomUUID()}`;
  await writeFile(draft, text, { mode: 0o600, flush: true });
  try {
    await take({ path, draft, what });
  } finally {
    await unlink(draft).catch(ignoreMissing);
  }
  return {
    [Symbol.asyncDispose]: async () => {
      if ((await readText(path)) === text) await unlink(path).catch(ignoreMissing);
    },
  };
}

async function take({ path, draft, what }: { path: string; draft: string; what: string }): Promise<void> {
  // Each round ends with the lock or a refusal, unless another process took or released it meanwhile.
  for (;;) {
    if (await linked(draft, path)) return;
    const found = await readText(path);
    if (found === undefined) continue;
    const holder = parseHolder(found);
    if (holder !== undefined && (await isRunning(holder))) throw locked(what, holder.pid);
    // Replacing exactly this dead lock needs a lock too: only one process can have it, so none removes the lock of a
    // faster one.
    const digest = createHash("sha256").update(found).digest("hex").slice(0, 16);
    await using _right = await lockFile(`${path}.${digest}`, what);
    if ((await readText(path)) !== found) continue;
    await rename(draft, path);
    return;
  }
}

/** Creates the complete file in one step; false where there is one. */
async function linked(draft: string, path: string): Promise<boolean> {
  try {
    await link(draft, path);
    return true;
  } catch (error) {
    if (errorCode(error) === "EEXIST") return false;
    throw error;
  }
}

function locked(what: string, pid: number): Fault {
  return new Fault("data_folder_locked", `${what} is in use by the process ${pid}.`, {
    details: { field: "data folder", value: what, accepted: "a folder that no other Berth uses", pid },
  });
}

function parseHolder(text: string): ProcessMark | undefined {
  try {
    return Holder.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, "utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

function ignoreMissing(error: unknown): void {
  if (errorCode(error) !== "ENOENT") throw error;
}
