import { randomUUID } from "node:crypto";
import { link, open, readFile, rm } from "node:fs/promises";

/**
 * Creates a file that only its owner may read, and returns its content: several processes that create it at the same
 * time all get what the fastest wrote.
 */
export async function writeOnce(path: string, text: string): Promise<string> {
  // Complete before it has its name: a second process reads all of it, never its beginning.
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
