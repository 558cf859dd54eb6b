import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { Readable } from "node:stream";
import { pack } from "tar-stream";
import type { ContainerSpec } from "../../../src/domain/container.ts";
import { Fault } from "../../../src/domain/fault.ts";

/** One file below a mount, as a tar. Mounts are all there is: containers of the memory engine have no files of their own. */
export async function readMounted(mounts: ContainerSpec["mounts"], path: string): Promise<Readable> {
  const mount = mounts.find((one) => path.startsWith(`${one.path}/`));
  const file = mount && join(mount.hostPath, path.slice(mount.path.length));
  const content = file && (await readFile(file).catch(() => undefined));
  if (content === undefined) throw new Fault("not_found", `There is no ${path}.`);
  const tar = pack();
  tar.entry({ name: basename(path) }, content);
  tar.finalize();
  return Readable.from(tar);
}
