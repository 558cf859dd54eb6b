import { readdir, readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { Fault, toFault } from "../../domain/fault.ts";
import type { TrustedKey } from "../../domain/trust.ts";
import { parsePublicKey } from "./keys.ts";

/**
 * The keys of a PEM file, or of all files in a folder whose names end in `.pem`; each is named after its file. Throws
 * `config_invalid`, which names a file that cannot be read.
 */
export async function readKeyFiles(path: string): Promise<readonly TrustedKey[]> {
  const keys: TrustedKey[] = [];
  for (const file of await filesOf(path)) {
    const key = await readKey(file);
    if (!keys.some(({ id }) => id === key.id)) keys.push(key);
  }
  return keys;
}

async function filesOf(path: string): Promise<readonly string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path];
    const names = await readdir(path);
    return names
      .filter((name) => name.endsWith(".pem"))
      .toSorted()
      .map((name) => join(path, name));
  } catch (cause) {
    throw unusable(path, "it cannot be read", cause);
  }
}

async function readKey(file: string): Promise<TrustedKey> {
  try {
    const key = parsePublicKey(await readFile(file, "utf8"), file);
    return { ...key, name: basename(file, ".pem"), origin: "settings", createdAt: undefined };
  } catch (cause) {
    throw unusable(
      file,
      toFault(cause).code === "internal" ? "it cannot be read" : toFault(cause).message,
      cause,
    );
  }
}

function unusable(path: string, why: string, cause: unknown): Fault {
  return new Fault("config_invalid", `The trusted key ${path} is unusable: ${why}`, { cause });
}
