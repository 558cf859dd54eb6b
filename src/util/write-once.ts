import { randomUUID } from "node:crypto";
import { link, open, readFile, rm } from "node:fs/promises";

/**
 * Makes a file that its owner alone may read, and answers what it holds: several who make it at the same time agree on
 * what the fastest wrote.
 */
export async function writeOnce(path: string, text: string): Promise<string> {
  // Whole before it has its name: who comes second reads all of it, never its beginning.
  const draft = `${path}.${randomUUID()}`;
  try {
    await using file = await open(draft, "wx", 0o600);
    await file.writeFile(text);
    await file.sync();
    await link(draft, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== "EEXIST") throw error;
    });
  } finally {
    await rm(draft, { force: true });
  }
  return await readFile(path, "utf8");
}
