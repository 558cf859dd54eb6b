/**
 * Writes `dist/`, which an installed package runs: Node strips no types below `node_modules`. Each source is written as
 * JavaScript with every line and column where it was, so that stack traces stay true. `npm pack` runs this.
 */
import { mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { stripTypeScriptTypes } from "node:module";
import { dirname, join } from "node:path";

const root = join(import.meta.dirname, "..");
const [sources, output] = [join(root, "src"), join(root, "dist")];
/** Files of ours, as imports and the threads that we start name them. */
const OWN_FILE = /(["'])(\.{1,2}\/[^"'\n]*)\.ts\1/g;

await rm(output, { recursive: true, force: true });
let written = 0;
for (const entry of await readdir(sources, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || !entry.name.endsWith(".ts") || entry.name.endsWith(".test.ts")) continue;
  const path = join(entry.parentPath, entry.name);
  const target = join(output, path.slice(sources.length)).replace(/\.ts$/, ".js");
  const code = stripTypeScriptTypes(await readFile(path, "utf8"));
  await mkdir(dirname(target), { recursive: true });
  await writeFile(target, code.replace(OWN_FILE, "$1$2.js$1"));
  written += 1;
}
process.stderr.write(`dist: ${written} files\n`);
