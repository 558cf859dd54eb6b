/** The named servers of this user: addresses and keys, in a file that only the user can read. */
import { chmod, mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { z } from "zod";
import type { Env } from "../../config/environment.ts";
import { Fault } from "../../domain/fault.ts";
import { errorCode } from "../../util/error-code.ts";

const Context = z.object({ url: z.string(), key: z.string(), tenant: z.string().optional() });
const Contexts = z.object({
  /** The context of a command that names none. */
  current: z.string().optional(),
  contexts: z.record(z.string(), Context),
});

/** A server under a name. */
export type Context = z.infer<typeof Context>;
export type Contexts = z.infer<typeof Contexts>;

/** `berth/contexts.json` below `XDG_CONFIG_HOME`, which is `~/.config` where it is not set. */
function contextFile(env: Env): string {
  const home = env["HOME"] === undefined || env["HOME"] === "" ? homedir() : env["HOME"];
  const config = env["XDG_CONFIG_HOME"];
  return join(
    config === undefined || config === "" ? join(home, ".config") : config,
    "berth",
    "contexts.json",
  );
}

/** Without a file there are no contexts. Throws `config_invalid` where the file is not one of ours. */
export async function readContexts(env: Env): Promise<Contexts> {
  const path = contextFile(env);
  const text = await readFile(path, "utf8").catch((error) => {
    if (errorCode(error) !== "ENOENT") throw error;
  });
  if (text === undefined) return { contexts: {} };
  try {
    return Contexts.parse(JSON.parse(text));
  } catch (cause) {
    const message = `${path} is not a list of contexts; remove it and run berth login again.`;
    throw new Fault("config_invalid", message, { cause });
  }
}

/** Replaces the file as a whole; at no moment can another user read it. */
export async function writeContexts(env: Env, contexts: Contexts): Promise<string> {
  const path = contextFile(env);
  const draft = `${path}.${process.pid}`;
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  try {
    await writeFile(draft, `${JSON.stringify(contexts, null, 2)}\n`, { mode: 0o600, flag: "wx" });
    // The mode above is less the umask.
    await chmod(draft, 0o600);
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  return path;
}
