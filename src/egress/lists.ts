/** Tells the guard what each container may reach: one small file each, which the guard reads within a tenth of a second. */
import { readdir, readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { ContainerState } from "../domain/container.ts";
import type { Engine } from "../engine/engine.ts";
import { formatLabelFilter, parseLabels } from "../engine/labels.ts";
import { replaceFile } from "../util/replace-file.ts";
import { guardFolder } from "./guard.ts";

export interface ListDeps {
  readonly engine: Pick<Engine, "listContainers" | "findContainer">;
  readonly instanceId: string;
  readonly dataFolder: string;
}

/** What the containers of a pool may reach: `host:port` and networks. */
export type AllowOf = (poolKey: string) => readonly string[];

/** Writes the files of all containers that run now and removes the others. Several workers may do so at once: they write the same. */
export async function writeLists(
  { engine, instanceId, dataFolder }: ListDeps,
  allowOf: AllowOf,
  signal: AbortSignal,
): Promise<void> {
  // Listed before the containers: a later file belongs to a container that another worker has started.
  const before = await readdir(listFolder(dataFolder));
  const labels = formatLabelFilter({ instance: instanceId, kind: "runtime" });
  const containers = await engine.listContainers(labels, signal);
  const wanted = new Set(containers.filter(({ address }) => address !== undefined).map(fileName));
  for (const name of before)
    if (!wanted.has(name)) await rm(join(listFolder(dataFolder), name), { force: true });
  for (const container of containers) await writeListOf(dataFolder, container, allowOf);
}

/** Writes the file of one container that has started. */
export async function writeList(
  { engine, dataFolder }: ListDeps,
  containerId: string,
  allowOf: AllowOf,
  signal: AbortSignal,
): Promise<void> {
  const container = await engine.findContainer(containerId, signal);
  if (container === undefined || parseLabels(container.labels)?.kind !== "runtime") return;
  // A container that had this address before may still have a file.
  const folder = listFolder(dataFolder);
  for (const name of await readdir(folder)) {
    const isOther = name !== fileName(container);
    if (isOther && addressIn(await readList(join(folder, name))) === container.address)
      await rm(join(folder, name), { force: true });
  }
  await writeListOf(dataFolder, container, allowOf);
}

function readList(path: string): Promise<string | undefined> {
  return readFile(path, "utf8").catch(() => undefined);
}

/** Undefined if there is no such file any more. */
function addressIn(text: string | undefined): unknown {
  return text === undefined ? undefined : Reflect.get(Object(JSON.parse(text)), "address");
}

async function writeListOf(dataFolder: string, container: ContainerState, allowOf: AllowOf): Promise<void> {
  const { address, labels } = container;
  if (address === undefined) return;
  const text = JSON.stringify({ address, allow: allowOf(parseLabels(labels)?.pool ?? "") });
  const path = join(listFolder(dataFolder), fileName(container));
  if ((await readList(path)) === text) return;
  await replaceFile(path, text, { draftFolder: guardFolder(dataFolder) });
}

function listFolder(dataFolder: string): string {
  return join(guardFolder(dataFolder), "lists");
}

function fileName({ id }: { readonly id: string }): string {
  return `${id.slice(0, 16)}.json`;
}
