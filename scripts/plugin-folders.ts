import { readdir } from "node:fs/promises";
import { join } from "node:path";

const MANIFESTS = ["manifest.yaml", "manifest.json"];

/** Folders with a manifest; everything below one belongs to it. */
export async function* pluginFolders(folder: string): AsyncGenerator<string> {
  const entries = await readdir(folder, { withFileTypes: true });
  if (entries.some((entry) => MANIFESTS.includes(entry.name))) {
    yield folder;
    return;
  }
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    if (entry.isDirectory() && !entry.name.startsWith(".")) yield* pluginFolders(join(folder, entry.name));
  }
}
