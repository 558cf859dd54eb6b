import { randomUUID } from "node:crypto";
import { readdir, rename, rm, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { invalidInput } from "../../domain/fault.ts";
import { DEFAULT_READ_OPTIONS, readPackage } from "../read-package.ts";
import { compareUtf8 } from "./checksum.ts";
import { type Ignores, readIgnoreFile } from "./ignore-file.ts";
import { writeArchive } from "./write-archive.ts";

export interface PackRequest {
  readonly folder: string;
  /** File to write; by default `NAME-VERSION.difypkg` in the working directory. An existing file is replaced. */
  readonly output?: string;
}

export interface Packed {
  readonly identifier: string;
  /** Path of the archive. */
  readonly output: string;
  /** Size of the archive. */
  readonly bytes: number;
  /** Paths in the archive, in its order. */
  readonly files: readonly string[];
  readonly warnings: readonly string[];
}

/**
 * Packs a folder as a package, without the files that its ignore file names. The same files give the same bytes. The
 * archive is read back by the rules of an upload before it gets its name, so that a needed file that is ignored shows
 * here. Throws `invalid_input` for the folder, and what reading a package throws, and leaves nothing behind then.
 */
export async function packFolder({ folder, output }: PackRequest): Promise<Packed> {
  const root = resolve(folder);
  const found = await stat(root).catch(() => undefined);
  if (found === undefined || !found.isDirectory())
    throw invalidInput("folder", folder, "a folder that exists");
  const ignores = await readIgnoreFile(root);
  const skipped = output === undefined ? undefined : resolve(output);
  const files = (await listFiles(root, "", ignores))
    .filter((path) => join(root, path) !== skipped)
    .sort(compareUtf8);
  const target = output === undefined ? process.cwd() : dirname(resolve(output));
  const draft = join(target, `.${randomUUID()}.difypkg.part`);
  try {
    await writeArchive(
      draft,
      files.map((path) => ({ path, content: { file: join(root, path) } })),
    );
    const pkg = await readPackage(draft, new Date(0), DEFAULT_READ_OPTIONS);
    const written =
      output === undefined ? join(target, `${pkg.name}-${pkg.version}.difypkg`) : resolve(output);
    await rename(draft, written);
    return { identifier: pkg.identifier, output: written, bytes: pkg.bytes, files, warnings: pkg.warnings };
  } finally {
    await rm(draft, { force: true });
  }
}

/** Files below the folder. Links to files are followed, links to folders are not. */
async function listFiles(root: string, below: string, ignores: Ignores): Promise<string[]> {
  const files: string[] = [];
  for (const entry of await readdir(join(root, below), { withFileTypes: true })) {
    const path = below === "" ? entry.name : `${below}/${entry.name}`;
    if (entry.isDirectory()) {
      if (!ignores(`${path}/`)) files.push(...(await listFiles(root, path, ignores)));
    } else if (!ignores(path) && (await stat(join(root, path))).isFile()) {
      files.push(path);
    }
  }
  return files;
}
