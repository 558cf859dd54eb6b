/**
 * Packs and reads every plugin in a folder, at any depth, as an upload would: `node scripts/read-collection.ts FOLDER`.
 * Prints the number of each kind, the warnings, and the time; exits with 1 where one was refused.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { categoryOf, type Package } from "../src/domain/package.ts";
import { packFolder } from "../src/packages/archive/pack.ts";
import { DEFAULT_READ_OPTIONS, readPackage } from "../src/packages/read-package.ts";
import { pluginFolders } from "./plugin-folders.ts";

interface Reading {
  readonly name: string;
  readonly pkg: Package;
  readonly ms: number;
}

const [collection] = process.argv.slice(2);
if (collection === undefined) {
  process.stderr.write("usage: node scripts/read-collection.ts FOLDER\n");
  process.exit(2);
}
const work = await mkdtemp(join(tmpdir(), "berth-collection-"));
try {
  const { read, refused } = await readAll(collection);
  report(read, refused);
  process.exitCode = refused.length === 0 && read.length > 0 ? 0 : 1;
} finally {
  await rm(work, { recursive: true });
}

async function readAll(root: string): Promise<{ read: readonly Reading[]; refused: readonly string[] }> {
  const read: Reading[] = [];
  const refused: string[] = [];
  for await (const folder of pluginFolders(root)) {
    const name = relative(root, folder);
    try {
      const { output } = await packFolder({ folder, output: join(work, "p.difypkg") });
      const startedAt = performance.now();
      const pkg = await readPackage(output, new Date(), DEFAULT_READ_OPTIONS);
      read.push({ name, pkg, ms: performance.now() - startedAt });
    } catch (error) {
      refused.push(`${name}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  return { read, refused };
}

function report(read: readonly Reading[], refused: readonly string[]): void {
  const print = (line: string) => process.stdout.write(`${line}\n`);
  const kinds = Map.groupBy(read, ({ pkg }) => categoryOf(pkg.providers.map(({ kind }) => kind)));
  for (const [category, found] of kinds) print(`${category}: ${found.length}`);
  for (const { name, pkg } of read) for (const warning of pkg.warnings) print(`warning: ${name}: ${warning}`);
  for (const line of refused) print(`REFUSED: ${line}`);
  const times = read.map(({ ms }) => ms).sort((a, b) => a - b);
  const [median, slowest] = [times[Math.floor(times.length / 2)] ?? 0, times.at(-1) ?? 0];
  print(
    `${read.length} read, ${refused.length} refused; ${median.toFixed(0)} ms each (median), ${slowest.toFixed(0)} ms at most`,
  );
}
